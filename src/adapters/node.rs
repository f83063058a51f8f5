//! Node.js, with the project's own Kysely in it.

use super::process::given;
use crate::migrate::import::{Recorded, Recorder, RecorderError, Recording, RecordingOrder};
use crate::system::Gets;
use async_trait::async_trait;
use serde::Deserialize;
use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

const RECORDER: &str = include_str!("../../templates/import/recorder.mjs");

/// The recording comes on descriptor 3, so that what a migration prints cannot get into it; what it prints is stderr.
const CHANNELS: &str = "exec node --input-type=module --eval \"$1\" 3>&1 1>&2";

/// How many of its last lines are shown of a Node.js that ended too soon.
const LAST_WORDS: usize = 12;

pub(crate) struct Node;

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Begin { file: String },
    Recorded(Box<Recorded>),
    Ignored,
    Unreadable { message: String },
    Unable { reason: String, message: String },
    Done,
}

#[async_trait]
impl Recorder for Node {
    async fn record(
        &self,
        order: &RecordingOrder,
        tell: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Vec<Recording>, RecorderError> {
        let mut node = Running::start(order).await?;
        let mut recordings = Vec::new();
        let mut current = None;
        loop {
            let line = match timeout(order.patience, node.events.next_line()).await {
                Err(_) => return Err(RecorderError::timed_out(order, current.as_deref())),
                Ok(Ok(Some(line))) => line,
                // It ended, or what it sent is no text.
                Ok(Ok(None) | Err(_)) => return Err(node.ended(order, current.as_deref()).await),
            };
            let event = serde_json::from_str(&line).map_err(|error| RecorderError::Garbled { line: error.to_string() });
            match event? {
                Event::Begin { file } => {
                    tell(recordings.len());
                    current = Some(file);
                }
                Event::Recorded(recorded) => recordings.push(Recording::Recorded(recorded)),
                Event::Ignored => recordings.push(Recording::Ignored),
                Event::Unreadable { message } => recordings.push(Recording::Unreadable(message)),
                Event::Unable { reason, message } => return Err(unable(order, &reason, message)),
                Event::Done => return Ok(recordings),
            }
        }
    }
}

fn unable(order: &RecordingOrder, reason: &str, message: String) -> RecorderError {
    match reason {
        "no_kysely" => RecorderError::no_kysely(&order.folder),
        "kysely_broken" => RecorderError::KyselyBroken { message },
        "no_typescript" => RecorderError::NoTypeScript { node: message },
        _ => RecorderError::TypeScriptBroken { message },
    }
}

/// The child; it is killed when this is dropped.
struct Running {
    child: Child,
    events: Lines<BufReader<ChildStdout>>,
    said: tokio::task::JoinHandle<String>,
}

impl Running {
    #[expect(
        clippy::disallowed_methods,
        reason = "a child whose answers are read while it runs; no other room starts it"
    )]
    async fn start(order: &RecordingOrder) -> Result<Self, RecorderError> {
        let mut command = Command::new("sh");
        command.args(["-c", CHANNELS, "sh", RECORDER]).current_dir(&order.folder);
        command.env_clear().envs(given(Gets::Project)).env("TZ", &order.time_zone);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let not_started = |source| RecorderError::NotStarted { source };
        let mut child = command.spawn().map_err(not_started)?;
        let missing = || not_started(std::io::ErrorKind::BrokenPipe.into());
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let mut stdin = child.stdin.take().ok_or_else(missing)?;
        let request = serde_json::json!({ "folder": order.folder, "files": order.files }).to_string();
        let said = tokio::spawn(last_words(stderr));
        // A child that ends before it has read all of this is told of by its exit code.
        let _ = stdin.write_all(request.as_bytes()).await;
        drop(stdin);
        Ok(Self { child, events: BufReader::new(stdout).lines(), said })
    }

    async fn ended(mut self, order: &RecordingOrder, file: Option<&str>) -> RecorderError {
        // It may have closed the descriptor and live on.
        let _ = self.child.start_kill();
        let code = self.child.wait().await.map_or(-1, code);
        let said = self.said.await.unwrap_or_default();
        // sh(1) for a command that it does not find.
        if code == 127 && file.is_none() {
            RecorderError::NoNode
        } else {
            RecorderError::ended(order, file, code, said)
        }
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Reads to the end, so that the child never waits, and keeps the last lines.
async fn last_words(stderr: ChildStderr) -> String {
    let mut lines = BufReader::new(stderr).lines();
    let mut last = VecDeque::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if last.len() == LAST_WORDS {
            last.pop_front();
        }
        last.push_back(line);
    }
    Vec::from(last).join("\n")
}
