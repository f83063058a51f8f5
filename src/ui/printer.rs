use super::paint::finished;
use super::{Failure, Paint, Selection, Step};
use crate::system::{barred, json_visible};
use indicatif::MultiProgress;
use serde::Serialize;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// What happened, as data. The JSON contract and the text are two views of the same value.
pub trait Report: Serialize {
    /// The human form for stdout, ending with a newline (or empty).
    fn text(&self, paint: Paint) -> String;
}

/// How to print, decided once from flags and terminals.
#[derive(Debug, Clone, Copy)]
pub struct PrinterSettings {
    pub json: bool,
    pub quiet: bool,
    /// How often `-v` was given.
    pub verbose: u8,
    pub color_out: bool,
    pub color_err: bool,
    /// stderr is a terminal: spinners may be drawn.
    pub animate: bool,
    /// stdout is a terminal: a person reads it, and no program.
    pub screen: bool,
}

type Stream = Arc<Mutex<Box<dyn Write + Send>>>;

/// The only way to stdout and stderr. Text from elsewhere gets through as what can be seen of it (`system::visible`).
#[derive(Clone)]
pub struct Printer {
    settings: PrinterSettings,
    selection: Selection,
    /// The lines that tick on the screen now; others are written above them.
    pub(super) bars: MultiProgress,
    out: Stream,
    err: Stream,
}

impl Printer {
    pub fn new(settings: PrinterSettings, selection: Selection, out: Stream, err: Stream) -> Self {
        Self { settings, selection, bars: MultiProgress::new(), out, err }
    }

    pub fn settings(&self) -> PrinterSettings {
        self.settings
    }

    /// Prints a command's answer: one JSON document with `--json`, its text otherwise.
    pub fn report<R: Report>(&self, report: &R) -> io::Result<()> {
        if self.settings.json {
            return self.document(&serde_json::to_string_pretty(report)?);
        }
        self.product(&report.text(self.paint_out()))
    }

    /// Prints one JSON document on stdout.
    pub fn document(&self, json: &str) -> io::Result<()> {
        self.write(&format!("{}\n", json_visible(json.trim_end())))
    }

    /// Prints text that is to be read on stdout.
    pub fn product(&self, text: &str) -> io::Result<()> {
        self.write(&finished(text))
    }

    /// Prints text for a program: as it is, unless a person would see it on a terminal. There, lines of a value that has
    /// several cannot begin like lines of our own.
    pub fn for_programs(&self, text: &str) -> io::Result<()> {
        match (self.settings.screen, text.trim_end().contains('\n')) {
            (false, _) => self.write(text),
            (true, false) => self.product(text),
            (true, true) => self.product(
                &text.lines().map(|line| format!("  {line}").trim_end().to_owned() + "\n").collect::<String>(),
            ),
        }
    }

    /// Prints text in place of what stood on the terminal; below it where stdout is none.
    pub fn redraw(&self, text: &str) -> io::Result<()> {
        // ECMA-48: cursor to the first line, and everything below it erased.
        let home = if self.settings.screen { "\u{1b}[H\u{1b}[J" } else { "" };
        self.write(&format!("{home}{}", finished(text)))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // Whoever reads has seen enough (`devdb … | head`); that is nobody's failure.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// A line of narration; silent with `--quiet`, and with `--json`, whose reader wants nothing but JSON.
    pub fn status(&self, text: &str) {
        if !self.settings.quiet && !self.settings.json {
            self.narrate(&barred(text, "  "));
        }
    }

    /// A line of its own; with `--json` it is `{"warning": …}`.
    pub fn warning(&self, text: &str) {
        if self.settings.json {
            return self.narrate(&json_visible(&serde_json::json!({ "warning": text }).to_string()));
        }
        self.narrate(&format!("{} {}", self.paint_err().warn("warning:"), barred(text, "  ")));
    }

    pub fn hint(&self, text: &str) {
        if !self.settings.quiet && !self.settings.json {
            let text = barred(&self.selection.apply(text), "  ");
            self.narrate(&format!("{} {text}", self.paint_err().hint("hint:")));
        }
    }

    /// The hint for this very command line, for a report that holds it.
    pub fn pasteable(&self, hint: &str) -> String {
        self.selection.apply(hint)
    }

    pub fn failure(&self, failure: &Failure) {
        let hints = failure.hints.iter().map(|hint| self.selection.apply(hint)).collect();
        let failure = Failure { hints, ..failure.clone() };
        let text = if self.settings.json { json_visible(&failure.json()) } else { failure.text(self.paint_err()) };
        self.narrate(text.trim_end());
    }

    /// Announces a piece of work that may take a while; a spinner on a terminal, a line when it is done otherwise.
    pub fn step(&self, label: &str) -> Step {
        Step::start(self.clone(), label)
    }

    /// Does something else with the terminal, such as asking; nothing ticks meanwhile.
    pub fn aside<T>(&self, act: impl FnOnce() -> T) -> T {
        self.bars.suspend(act)
    }

    /// The colours of what goes to stdout by [`Self::product`].
    pub fn paint_out(&self) -> Paint {
        Paint { color: self.settings.color_out }
    }

    pub(super) fn paint_err(&self) -> Paint {
        Paint { color: self.settings.color_err }
    }

    /// Writes a line to stderr. A closed stderr is nobody's failure.
    pub(super) fn narrate(&self, line: &str) {
        let write = || {
            let mut err = self.err.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writeln!(err, "{}", finished(line));
            let _ = err.flush();
        };
        self.bars.suspend(write);
    }
}
