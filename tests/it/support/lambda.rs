//! What surrounds a Lambda function: the Runtime API, and the bucket where CloudFormation waits for answers. Both are
//! real HTTP servers; the function is this library's own loop, or the program itself.

use super::sshd::eventually;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);
/// What an invocation gets where a test does not care.
pub(crate) const AMPLE: Duration = Duration::from_secs(840);

/// An answer that came in by PUT.
#[derive(Debug, Clone)]
pub(crate) struct Put {
    pub(crate) content_type: Option<String>,
    pub(crate) body: Value,
    pub(crate) length: usize,
}

/// How an invocation ended, and what was put meanwhile.
#[derive(Debug)]
pub(crate) struct Told {
    /// What the function returned, or its error.
    pub(crate) returned: Result<Value, Value>,
    pub(crate) puts: Vec<Put>,
}

impl Told {
    /// The one answer that CloudFormation got.
    #[track_caller]
    pub(crate) fn answer(&self) -> &Value {
        let [Put { body, .. }] = &self.puts[..] else { panic!("{self:?}") };
        assert_eq!(self.returned, Ok(Value::Null));
        body
    }

    #[track_caller]
    pub(crate) fn success(&self) -> &Value {
        let answer = self.answer();
        assert_eq!(answer["Status"], "SUCCESS", "{answer}");
        answer
    }

    /// Why it failed.
    #[track_caller]
    pub(crate) fn failed(&self) -> &str {
        let answer = self.answer();
        assert_eq!(answer["Status"], "FAILED", "{answer}");
        answer["Reason"].as_str().unwrap()
    }
}

#[derive(Default)]
struct State {
    events: VecDeque<(String, Duration, Vec<u8>)>,
    returned: BTreeMap<String, Result<Value, Value>>,
    puts: Vec<Put>,
    /// What the next PUTs are answered; 200 when there is none.
    refusals: VecDeque<u16>,
    next: u32,
    is_over: bool,
}

#[derive(Default)]
struct Aws {
    state: Mutex<State>,
    changed: Condvar,
}

impl Aws {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<T>(&self, what: &str, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        let end = Instant::now() + LIMIT;
        let mut state = self.state();
        loop {
            if let Some(found) = look(&mut state) {
                return found;
            }
            let left = end.checked_duration_since(Instant::now()).unwrap_or_else(|| panic!("{what}: not in time"));
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// `None` where the connection is to be closed.
    fn respond(&self, method: &str, path: &str, headers: &BTreeMap<String, String>, body: &[u8]) -> Option<Answer> {
        let json = || serde_json::from_slice(body).unwrap_or_else(|error| panic!("{path}: {error}"));
        if method == "PUT" {
            let mut state = self.state();
            let status = state.refusals.pop_front().unwrap_or(200);
            if status == 200 {
                let content_type = headers.get("content-type").cloned();
                state.puts.push(Put { content_type, body: json(), length: body.len() });
            }
            return Some(Answer { status, headers: String::new(), body: Vec::new() });
        }
        let parts: Vec<&str> = path.trim_start_matches("/2018-06-01/runtime/").split('/').collect();
        match (method, &parts[..]) {
            ("GET", ["invocation", "next"]) => {
                let mut state = self.state();
                let (id, left, event) = loop {
                    if state.is_over {
                        return None;
                    }
                    match state.events.pop_front() {
                        Some(found) => break found,
                        None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                    }
                };
                let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + left;
                let headers = format!(
                    "Lambda-Runtime-Aws-Request-Id: {id}\r\nLambda-Runtime-Deadline-Ms: {}\r\n\
                     Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:123456789012:function:migrate\r\n",
                    deadline.as_millis()
                );
                Some(Answer { status: 200, headers, body: event })
            }
            ("POST", ["invocation", id, end @ ("response" | "error")]) => {
                let value = if *end == "response" { Ok(json()) } else { Err(json()) };
                self.state().returned.insert((*id).to_owned(), value);
                self.changed.notify_all();
                Some(Answer { status: 202, headers: String::new(), body: b"{}".to_vec() })
            }
            _ => panic!("{method} {path} is not of the Runtime API"),
        }
    }

    fn converse(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut stream = stream;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
            let mut words = line.split_whitespace();
            let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
            let mut headers = BTreeMap::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok()?;
                let Some((name, value)) = line.trim_end().split_once(':') else { break };
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let Answer { status, headers, body } = self.respond(&method, &path, &headers, &body)?;
            write!(stream, "HTTP/1.1 {status} Said\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).ok()?;
            stream.write_all(&body).ok()?;
        }
    }
}

struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

enum Function {
    Loop(Option<std::thread::JoinHandle<()>>),
    Program(Child),
}

/// A function that is up, and waits for events.
pub(crate) struct Lambda {
    aws: Arc<Aws>,
    port: u16,
    function: Function,
    root: tempfile::TempDir,
    log: Arc<Mutex<String>>,
}

impl Lambda {
    /// This library's own loop, with these variables.
    pub(crate) fn start(vars: &[(&str, &str)]) -> Self {
        Self::begin(vars, |vars, log| {
            let vars = vars.clone();
            let running = std::thread::spawn(move || {
                let log = |line: &str| {
                    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                    *log += &format!("{line}\n");
                };
                devdb::lambda::run(&vars, &log);
            });
            Function::Loop(Some(running))
        })
    }

    /// A program, with these variables and no other.
    pub(crate) fn spawn(program: impl AsRef<Path>, vars: &[(&str, &str)]) -> Self {
        Self::spawn_with(Command::new(program.as_ref()), vars)
    }

    /// The same, where it takes more than its path to start it.
    pub(crate) fn spawn_with(mut command: Command, vars: &[(&str, &str)]) -> Self {
        Self::begin(vars, |vars, log| {
            let mut child = command.env_clear().envs(vars).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            let stderr = child.stderr.take().unwrap();
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                    *log += &format!("{line}\n");
                }
            });
            Function::Program(child)
        })
    }

    fn begin(
        vars: &[(&str, &str)],
        start: impl FnOnce(&BTreeMap<String, String>, Arc<Mutex<String>>) -> Function,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let aws = Arc::new(Aws::default());
        let serving = aws.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (aws, stream) = (serving.clone(), stream.unwrap());
                if aws.state().is_over {
                    return;
                }
                std::thread::spawn(move || aws.converse(stream));
            }
        });
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("migrations")).unwrap();
        // For a program that runs as another user.
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let own = [
            ("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{port}")),
            ("AWS_LAMBDA_FUNCTION_NAME", "migrate".to_owned()),
            ("LAMBDA_TASK_ROOT", root.path().display().to_string()),
        ];
        let given = vars.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let vars = own.into_iter().chain(given).map(|(name, value)| (name.to_owned(), value)).collect();
        let log = Arc::new(Mutex::new(String::new()));
        let function = start(&vars, log.clone());
        Self { aws, port, function, root, log }
    }

    pub(crate) fn migrations(&self) -> PathBuf {
        self.root.path().join("migrations")
    }

    /// Puts this bundle in the place of the last one: names, each with its SQL for up and for down.
    pub(crate) fn bundle(&self, migrations: &[(&str, &str, &str)]) {
        let folder = self.migrations();
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::create_dir(&folder).unwrap();
        for (name, up, down) in migrations {
            write_migration(&folder, name, up, down);
        }
    }

    /// CloudFormation's event, with these properties.
    pub(crate) fn request(&self, kind: &str, request_id: &str, properties: Value) -> Value {
        let mut event = json!({
            "RequestType": kind,
            "ResponseURL": format!("http://127.0.0.1:{}/bucket/{request_id}?X-Amz-Signature=canary", self.port),
            "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/app/1", "RequestId": request_id,
            "LogicalResourceId": "Migrations", "ResourceType": "Custom::DevdbMigrations",
            "ResourceProperties": properties,
        });
        event["ResourceProperties"]["ServiceToken"] = "arn:aws:lambda:eu-west-1:123456789012:function:migrate".into();
        event
    }

    /// An update of what an earlier answer made.
    pub(crate) fn update(&self, earlier: &Value, properties: Value) -> Value {
        let mut event = self.request("Update", "u", properties);
        event["PhysicalResourceId"] = earlier["PhysicalResourceId"].clone();
        event["OldResourceProperties"] = json!({});
        event
    }

    pub(crate) fn delete(&self, earlier: &Value, properties: Value) -> Value {
        let mut event = self.update(earlier, properties);
        event["RequestType"] = "Delete".into();
        event
    }

    /// The next PUTs are answered with these.
    pub(crate) fn refuse(&self, statuses: &[u16]) {
        self.aws.state().refusals = statuses.iter().copied().collect();
    }

    pub(crate) fn invoke(&self, event: &Value) -> Told {
        self.invoke_for(AMPLE, event)
    }

    /// Invokes the function, which has so much time.
    pub(crate) fn invoke_for(&self, left: Duration, event: &Value) -> Told {
        self.invoke_with(left, event.to_string().as_bytes())
    }

    /// With an event that need not be JSON.
    pub(crate) fn invoke_with(&self, left: Duration, event: &[u8]) -> Told {
        let id = self.begin_invocation(left, event);
        let returned = self.aws.wait("the function's answer", |state| state.returned.remove(&id));
        Told { returned, puts: std::mem::take(&mut self.aws.state().puts) }
    }

    fn begin_invocation(&self, left: Duration, event: &[u8]) -> String {
        let mut state = self.aws.state();
        state.next += 1;
        let id = format!("invocation-{}", state.next);
        state.events.push_back((id.clone(), left, event.to_vec()));
        self.aws.changed.notify_all();
        id
    }

    /// Waits until the log says this so many times.
    pub(crate) fn until_logged(&self, words: &str, times: usize) {
        eventually(words, LIMIT, || (self.log().matches(words).count() >= times).then_some(()));
    }

    /// The process of a program.
    pub(crate) fn pid(&self) -> u32 {
        let Function::Program(child) = &self.function else { panic!("it is no program") };
        child.id()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        self.aws.state().is_over = true;
        self.aws.changed.notify_all();
        match &mut self.function {
            Function::Loop(running) => drop(running.take().map(std::thread::JoinHandle::join)),
            Function::Program(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        // The accepting thread looks once more.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

/// One file with both parts; without a down where there is none.
pub(crate) fn write_migration(folder: &Path, name: &str, up: &str, down: &str) {
    let down = if down.is_empty() { String::new() } else { format!("-- migrate:down\n{down}\n") };
    std::fs::write(folder.join(format!("{name}.sql")), format!("-- migrate:up\n{up}\n{down}")).unwrap();
}
