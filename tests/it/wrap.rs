//! `devdb exec` and `devdb psql`: the program in devdb's place, with real processes, psql and a real terminal.

use crate::support::postgres::{Cluster, Database, PASSWORD, cluster, until};
use crate::support::sshd::eventually;
use crate::support::terminal::Terminal;
use devdb::testing::{FakeCloud, Stage};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

const COMMITTED: &str =
    "project = \"shop\"\n[environment.dev]\nregion = \"eu-west-1\"\nstack = \"AppDbStack\"\nca_file = \"ca.pem\"\n";

/// The real devdb in an empty home, without a configuration: DATABASE_URL says which database.
pub(crate) struct Desk {
    home: tempfile::TempDir,
    pub(crate) database: Database,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), database: Database::create() }
    }

    pub(crate) fn url(&self) -> String {
        let Cluster { folder, .. } = cluster();
        let verified = format!("sslmode=verify-full&hostaddr=127.0.0.1&sslrootcert={}/ca.pem", folder.display());
        self.database.url().replace("127.0.0.1", "db.example").replace("sslmode=disable", &verified)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_devdb"));
        command.args(args).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.home.path());
        command.env("DATABASE_URL", self.url()).current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a shell script in devdb's place; what it wrote.
    #[track_caller]
    fn script(&self, script: &str) -> String {
        let output = self.run(&["-q", "exec", "--", "sh", "-c", script]);
        assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn terminal(&self) -> Terminal {
        let mut setting = self.command(&[]);
        setting.env("PROMPT_COMMAND", "").env("devdb", env!("CARGO_BIN_EXE_devdb"));
        Terminal::open(&setting)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_program_alone_is_given_the_password_and_its_code_is_devdbs() {
    let desk = Desk::new();
    assert_eq!(desk.script("printf %s \"$PGPASSWORD\""), PASSWORD);
    assert_eq!(desk.script("psql -XAtc 'select current_database()'").trim(), desk.database.name);
    for code in [0, 1, 3, 70, 125, 255] {
        let script = format!("exit {code}");
        assert_eq!(desk.run(&["exec", "--", "sh", "-c", &script]).status.code(), Some(code));
    }
    // A signal ends it as it would without devdb: the shell sees the signal itself, and not a number for it.
    for signal in [2, 9, 13, 15] {
        let script = format!("kill -{signal} $$");
        assert_eq!(desk.run(&["exec", "--", "sh", "-c", &script]).status.signal(), Some(signal));
    }
}

#[test]
fn the_program_is_this_very_process_with_nothing_left_of_devdb() {
    let desk = Desk::new();
    let script = "echo $$; grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; ls -x /proc/$$/fd";
    let look = |mut command: Command| {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
        child.wait().unwrap();
        assert_eq!(lines[0], child.id().to_string());
        // 32 and 33 are the C library's own, whoever starts the program.
        let signals = |line: &String| {
            let mask = u64::from_str_radix(line.rsplit('\t').next().unwrap(), 16).unwrap();
            format!("{:x}", mask & 0x7fff_ffff)
        };
        (lines[1..4].iter().map(signals).collect::<Vec<_>>(), lines[4..].to_vec())
    };
    let mut bare = Command::new("sh");
    bare.args(["-c", script]).stdin(Stdio::null());
    assert_eq!(look(desk.command(&["-q", "exec", "--", "sh", "-c", script])), look(bare));
}

#[test]
fn arguments_pass_as_they_are() {
    let desk = Desk::new();
    let words = ["--json", "-e", "", "two  words", "--", "$HOME", "grüße", "-"];
    let mut args = vec!["-q", "exec", "--", "printf", "%s|"];
    args.extend(words);
    assert_eq!(String::from_utf8(desk.run(&args).stdout).unwrap(), words.join("|") + "|");
    let output = desk.run(&["psql", "-E", "-q", "-v", "x=7", "-XAtc", "select 1", "-c", "\\d"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("QUERY"), "-E shows the queries: {}", said(&output));
    assert!(said(&output).contains(&format!("database {} at db.example", desk.database.name)), "{}", said(&output));
    let version = desk.run(&["psql", "--version"]);
    assert!(version.stdout.starts_with(b"psql (PostgreSQL)") && version.stderr.is_empty());
}

#[test]
fn devdbs_own_failures_are_told_from_the_programs() {
    let desk = Desk::new();
    let failed = |output: Output, code, text: &str| {
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(text) && output.stdout.is_empty(), "{}", said(&output));
        assert!(!said(&output).contains(PASSWORD));
    };
    failed(desk.run(&["exec", "--", "no-such-program"]), 127, "error: `no-such-program` was not found");
    std::fs::write(desk.home.path().join("text"), "no program").unwrap();
    failed(desk.run(&["exec", "--", "./text"]), 126, "error: `./text` could not be started");
    failed(desk.run(&["exec"]), 125, "required arguments");
    failed(desk.run(&["exec", "--no-such-flag", "--", "true"]), 125, "unexpected argument");
    failed(
        desk.command(&["exec", "--", "true"]).env_remove("DATABASE_URL").output().unwrap(),
        125,
        "no database is named",
    );
    failed(desk.command(&["psql"]).env("PATH", desk.home.path()).output().unwrap(), 127, "install PostgreSQL's client");
    // They speak of the environment's database, and another one was named.
    for flag in ["--up", "--iam", "--reader"] {
        failed(desk.run(&["exec", flag, "--database-url", "postgres://x", "--", "true"]), 125, "cannot be used with");
    }
    failed(desk.run(&["exec", "--database-url", "mysql://x", "--", "true"]), 125, "postgres://");
}

#[test]
fn ctrl_c_ends_the_query_and_not_psql_and_ctrl_z_puts_it_aside() {
    let desk = Desk::new();
    let mut terminal = desk.terminal();
    let prompt = format!("{}=#", desk.database.name);
    terminal.types("\"$devdb\" psql -X --pset pager=off\r");
    terminal.shows(&prompt);
    terminal.types("select pg_sleep(600);\r");
    let sleeping = "select count(*) from pg_stat_activity where state = 'active' and query like 'select pg_sleep%'";
    until(&desk.database, &format!("{sleeping} and datname = current_database()"), "1");
    terminal.types("\x03");
    terminal.shows("canceling statement due to user request");
    terminal.shows(&prompt);
    terminal.types("\x1a");
    terminal.shows("Stopped");
    terminal.shows("ready> ");
    terminal.types("jobs\r");
    terminal.shows("Stopped");
    terminal.shows("ready> ");
    terminal.types("fg\r");
    terminal.shows("psql -X");
    terminal.types("\rselect 40 + 2 as answer;\r");
    terminal.shows("    42");
    terminal.types("\\q\r");
    terminal.shows("ready> ");
    terminal.types("echo \"code <$?>\"\r");
    terminal.shows("code <0>");
    terminal.close();
}

#[test]
fn a_pager_has_the_terminal_and_the_size_of_it() {
    let desk = Desk::new();
    let mut terminal = desk.terminal();
    // A pager like less: what it shows comes from psql, what it is told comes from the keyboard.
    terminal.types("export PSQL_PAGER='sh -c \"tail -n2; read word </dev/tty; echo paged-\\$word\"'\r");
    terminal.types("stty rows 20 cols 70; \"$devdb\" psql -X\r");
    let prompt = format!("{}=#", desk.database.name);
    terminal.shows(&prompt);
    terminal.types("select 'row' from generate_series(1, 60);\r");
    terminal.shows("(60 rows)");
    terminal.types("on\r");
    terminal.shows("paged-on");
    terminal.shows(&prompt);
    terminal.types("\\! stty size\r");
    terminal.shows("20 70");
    terminal.types("\\q\r");
    terminal.shows("ready> ");
    terminal.close();
}

#[test]
fn ctrl_c_reaches_the_program_as_if_devdb_were_not_there() {
    let desk = Desk::new();
    let script = "trap 'echo caught; exit 9' INT; echo waiting; while :; do sleep 1; done";
    std::fs::write(desk.home.path().join("script"), script).unwrap();
    let mut terminal = desk.terminal();
    terminal.types("\"$devdb\" -q exec -- sh script\r");
    terminal.shows("waiting");
    terminal.types("\x03");
    terminal.shows("caught");
    terminal.shows("ready> ");
    terminal.types("echo \"code <$?>\"\r");
    terminal.shows("code <9>");
    terminal.close();
}

#[test]
fn a_signal_from_outside_reaches_the_program() {
    let desk = Desk::new();
    let script = "trap 'echo ended; exit 5' TERM; echo waiting; while :; do sleep 0.1; done";
    let mut child = desk.command(&["-q", "exec", "--", "sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "waiting");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "ended");
    assert_eq!(eventually("it ends", LIMIT, || child.try_wait().unwrap()).code(), Some(5));
}

fn stage() -> Stage {
    Stage::new().file("devdb.toml", COMMITTED).file("ca.pem", "").cloud(&Arc::new(FakeCloud::default()))
}

#[test]
fn a_tunnel_that_is_down_is_said_before_the_program_starts() {
    insta::assert_snapshot!(stage().run(["devdb", "exec", "--", "pnpm", "test"]), @"
    ------- stderr -------
    warning: the tunnel is not up, so nothing will answer yet
    hint: run `devdb tunnel up`
    database app at appdb.cluster-abc123.eu-west-1.rds.amazonaws.com (through 127.0.0.1:5432) as app; libpq verifies its certificate (environment dev)
    ------- exit 0
    ");
    insta::assert_snapshot!(stage().run(["devdb", "exec", "--up", "--", "pnpm", "test"]), @"
    ------- stderr -------
    error: the bastion is not running (absent)

    hint: run `devdb bastion up`; it does what is missing
    ------- exit 125
    ");
}

#[test]
fn yesterdays_variables_do_not_reach_the_program() {
    let stage = stage().var("PGSERVICE", "prod").var("DATABASE_URL", "postgres://app@prod/shop");
    let outcome = stage.var("DEVDB_TRANSPORT", "direct").run(["devdb", "exec", "--", "true"]);
    insta::assert_snapshot!(outcome, @"
    ------- stderr -------
    warning: the variables name another database (shop at prod:5432 from DATABASE_URL); environment dev is used
    database app at appdb.cluster-abc123.eu-west-1.rds.amazonaws.com:5432 as app; libpq verifies its certificate (environment dev)
    DATABASE_URL is not passed on; it may name another database
    ------- exit 0
    ");
}

#[test]
fn what_is_handed_over_is_the_environment_and_the_arguments() {
    let stage = stage().var("DATABASE_URL", "postgres://app@prod/shop").var("PGHOSTADDR", "10.0.0.1");
    let stage = stage.var("DEVDB_TRANSPORT", "direct");
    for (client, host) in [("libpq", "PGHOST"), ("node", "PGHOST"), ("jdbc", "JDBC_DATABASE_URL")] {
        assert_eq!(stage.run(["devdb", "exec", "--reader", "--client", client, "--", "run", "x"]).code, 0);
        let spawned = stage.processes.spawned().pop().unwrap();
        assert_eq!((spawned.program, spawned.args), ("run".into(), vec!["x".into()]));
        let value = spawned.env.iter().find(|(name, _)| name == host).unwrap();
        assert!(value.1.to_string_lossy().contains("cluster-ro"), "{value:?}");
        assert!(spawned.env_remove.contains(&"DATABASE_URL".into()));
        assert_eq!(client == "libpq", spawned.env_remove.contains(&"PGHOSTADDR".into()));
    }
}
