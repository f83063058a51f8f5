//! A real terminal (script(1) gives one) with somebody who types and reads.

use super::sshd::eventually;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Arc<Mutex<Vec<u8>>>,
    /// How much of the screen has been read.
    read: usize,
}

impl Terminal {
    /// An interactive bash with job control; `command` says folder and variables, its program counts for nothing.
    pub(crate) fn open(setting: &Command) -> Self {
        let mut command = Command::new("script");
        command.args(["--quiet", "--flush", "--command", "bash --norc --noprofile -i", "/dev/null"]);
        command.env_clear().envs([
            ("PATH", "/usr/bin:/bin"),
            ("TERM", "xterm"),
            ("PS1", "ready> "),
            ("LC_ALL", "C.UTF-8"),
        ]);
        command.envs(setting.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = setting.get_current_dir() {
            command.current_dir(folder);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (keyboard, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let screen = Arc::new(Mutex::new(Vec::new()));
        let seen = screen.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                seen.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        let mut terminal = Self { child, keyboard, screen, read: 0 };
        terminal.shows("ready> ");
        terminal
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Waits until the screen shows the text below what has been read; returns what stood before it.
    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) -> String {
        let found = eventually_or(LIMIT, || {
            let screen = self.screen.lock().unwrap();
            let rest = &screen[self.read..];
            rest.windows(text.len()).position(|window| window == text.as_bytes())
        });
        let screen = self.screen.lock().unwrap();
        let rest = &screen[self.read..];
        let Some(at) = found else { panic!("`{text}` is not shown: {}", String::from_utf8_lossy(rest)) };
        let before = String::from_utf8_lossy(&rest[..at]).into_owned();
        self.read += at + text.len();
        before
    }

    /// Leaves the shell and waits for its end.
    pub(crate) fn close(mut self) {
        self.types("exit\r");
        eventually("the terminal closes", LIMIT, || self.child.try_wait().unwrap());
    }
}

impl Drop for Terminal {
    /// Without its terminal everything in it is hung up.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn eventually_or<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = std::time::Instant::now() + limit;
    loop {
        match look() {
            None if std::time::Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            found => return found,
        }
    }
}
