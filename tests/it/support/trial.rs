//! One developer's `devdb` among many on the sandbox: own home, own alias, own access key, so that its calls can be told.

use super::api::Api;
use devdb::bastion::{InstanceState, Scope};
use devdb::host::{Aws, AwsTarget, Host};
use std::collections::BTreeMap;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What must stand, or must not: instances, security groups, key pairs, rules.
type Count = (usize, usize, usize, usize);
/// ssh and two ways out in the own group, one way into the database's.
const ONE: Count = (1, 1, 1, 4);
const NOTHING: Count = (0, 0, 0, 0);

/// For a single run under load.
const LIMIT: Duration = Duration::from_secs(120);

static KEYS: AtomicUsize = AtomicUsize::new(0);

pub(crate) struct Trial {
    home: tempfile::TempDir,
    alias: String,
    pub(crate) api: Api,
    /// A new one for each run, so that calls and faults are that run's.
    key: std::sync::Mutex<String>,
}

impl Trial {
    pub(crate) fn new(alias: &str) -> Self {
        let home = tempfile::Builder::new().prefix("ddb").tempdir().unwrap();
        Self { home, alias: alias.to_owned(), api: Api::new(), key: std::sync::Mutex::default() }
    }

    fn new_key(&self) -> String {
        let key = format!("TRIAL{}X{}", std::process::id(), KEYS.fetch_add(1, Ordering::Relaxed));
        key.clone_into(&mut self.key.lock().unwrap());
        key
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_devdb"));
        command.args(words.split_whitespace()).env("HOME", self.home.path()).env("DEVDB_ALIAS", &self.alias);
        command.env("AWS_ACCESS_KEY_ID", &*self.key.lock().unwrap()).env_remove("RUST_BACKTRACE");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `devdb` undisturbed.
    pub(crate) fn run(&self, words: &str) -> Output {
        self.new_key();
        self.command(words).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn succeeds(&self, verb: &str) {
        expect_success(&format!("{}: bastion {verb}", self.alias), &self.run(&format!("bastion {verb}")));
    }

    /// The calls of the last run.
    pub(crate) fn calls(&self) -> Vec<serde_json::Value> {
        let calls = self.api.get(&format!("calls?key={}", self.key.lock().unwrap()));
        calls.as_array().unwrap().clone()
    }

    /// Ends a run by SIGKILL while its call with this number is held: before it took effect, or after.
    #[track_caller]
    pub(crate) fn killed(&self, verb: &str, number: usize, when: &str) {
        let key = self.new_key();
        let skip = number - 1;
        self.api.arm(&format!(r#"{{"key":"{key}","skip":{skip},"hold":true,"when":"{when}"}}"#));
        let mut child = self.command(&format!("bastion {verb}")).spawn().unwrap();
        let began = Instant::now();
        while self.api.get(&format!("held?key={key}&wait=1"))["held"] != true {
            assert!(child.try_wait().unwrap().is_none(), "{}", early(&self.alias, verb, number, child));
            assert!(began.elapsed() < LIMIT, "{}: `{verb}` made no call {number} within {LIMIT:?}", self.alias);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// A run whose calls meet this fault.
    pub(crate) fn run_with(&self, fault: &str, words: &str) -> Output {
        let key = self.new_key();
        self.api.arm(&format!(r#"{{"key":"{key}",{fault}}}"#));
        self.command(words).output().unwrap()
    }

    /// A run whose calls meet this fault, and that gets over it.
    #[track_caller]
    pub(crate) fn survives(&self, fault: &str, verb: &str) {
        expect_success(
            &format!("{}: bastion {verb} with {fault}", self.alias),
            &self.run_with(fault, &format!("bastion {verb}")),
        );
    }

    #[track_caller]
    pub(crate) fn has_one_of_everything(&self, story: &str) {
        assert_eq!(self.count(), ONE, "{story}: instances, groups, key pairs, rules");
    }

    #[track_caller]
    pub(crate) fn has_nothing(&self, story: &str) {
        assert_eq!(self.count(), NOTHING, "{story}: instances, groups, key pairs, rules");
    }

    fn scope(&self) -> Scope {
        Scope { project: "shop".to_owned(), environment: "dev".to_owned(), owner: self.alias.clone() }
    }

    /// Ends the instance as its own clock would, and waits until it is gone.
    pub(crate) fn expire(&self) {
        let scope = self.scope();
        with_aws(async |cloud| {
            let began = Instant::now();
            loop {
                let instances = cloud.instances(&scope).await.unwrap();
                let mut left = instances.iter().filter(|one| one.state != InstanceState::Terminated).peekable();
                if left.peek().is_none() {
                    break;
                }
                assert!(began.elapsed() < LIMIT, "{}: the instance does not end", self.alias);
                for one in left {
                    cloud.terminate(&one.id).await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }

    /// The tag `aws-cdk:subnet-name` of a VPC's subnets, by id.
    pub(crate) fn subnet_names(&self, vpc: &str) -> BTreeMap<String, String> {
        let subnets = with_aws(async |cloud| cloud.subnets(vpc).await.unwrap());
        subnets.into_iter().map(|subnet| (subnet.id, subnet.cdk_name.unwrap_or_default())).collect()
    }

    fn count(&self) -> Count {
        let scope = self.scope();
        with_aws(async |cloud| {
            let name = scope.resource_name();
            let instances = cloud.instances(&scope).await.unwrap();
            (
                instances.iter().filter(|instance| instance.state.is_live()).count(),
                cloud.groups(&name).await.unwrap().len(),
                cloud.key_pairs(&name).await.unwrap().len(),
                cloud.rules(&scope).await.unwrap().len(),
            )
        })
    }
}

impl Drop for Trial {
    /// The next test finds an empty world, even after a failure.
    fn drop(&mut self) {
        if std::thread::panicking() {
            drop(self.run("--yes down"));
        }
    }
}

fn with_aws<T>(ask: impl AsyncFnOnce(&dyn Aws) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let target = AwsTarget { profile: None, region: None };
        ask(&*Host::from_process().tools.aws(&target).await.unwrap()).await
    })
}

#[track_caller]
fn expect_success(what: &str, output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n--- stdout\n{out}--- stderr\n{err}", output.status);
}

fn early(alias: &str, verb: &str, number: usize, child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    format!("{alias}: `{verb}` ended ({}) before its call {number}:\n{said}", output.status)
}
