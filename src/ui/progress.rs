use super::Printer;
use crate::system::{one_line, visible};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a line may take before a reader without a terminal is told what it waits for.
const PATIENCE: Duration = Duration::from_secs(5);

fn seconds(state: &ProgressState, text: &mut dyn Write) {
    let _ = write!(text, "· {} s", state.elapsed().as_secs());
}

/// What may stand on a line that is drawn anew all the time.
fn drawn(text: &str) -> String {
    visible(&one_line(text)).into_owned()
}

/// One piece of work that the user waits for.
pub struct Step {
    printer: Printer,
    label: String,
    started: Instant,
    bar: Option<ProgressBar>,
    /// The note that was printed last; only where nothing is drawn.
    told: Mutex<String>,
}

impl Step {
    pub(super) fn start(printer: Printer, label: &str) -> Self {
        let settings = printer.settings();
        let bar = (settings.animate && !settings.quiet && !settings.json).then(|| {
            let bar = printer.bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} {seconds:.dim}") {
                bar.set_style(style.tick_chars("|/-\\ ").with_key("seconds", seconds));
            }
            bar.set_message(drawn(label));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { printer, label: label.to_owned(), started: Instant::now(), bar, told: Mutex::default() }
    }

    /// Says what the work is doing now, behind its name.
    pub fn note(&self, text: &str) {
        self.show(format!("{}: {text}", self.label));
    }

    /// Says how much of the work is done and what it is at now; a bar on a terminal.
    pub fn progress(&self, done: usize, of: usize, current: &str) {
        let Some(bar) = &self.bar else { return self.note(&format!("{current} ({} of {of})", (done + 1).min(of))) };
        let template = "  [{bar:20}] {pos} of {len} {seconds:.dim} · {wide_msg}";
        if bar.length().is_none()
            && let Ok(style) = ProgressStyle::with_template(template)
        {
            bar.set_style(style.progress_chars("=> ").with_key("seconds", seconds));
        }
        bar.set_length(of as u64);
        bar.set_position(done as u64);
        bar.set_message(drawn(current));
    }

    /// Says what the work is waiting for, instead of its name.
    pub fn waiting(&self, text: &str) {
        self.show(text.to_owned());
    }

    fn show(&self, text: String) {
        if let Some(bar) = &self.bar {
            return bar.set_message(drawn(&text));
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if self.started.elapsed() > PATIENCE && *told != text {
            self.printer.status(&format!("  {text}"));
            *told = text;
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            self.printer.bars.remove(bar);
        }
    }

    /// Ends the step with a line; the time is shown from one second on.
    pub fn done(self, outcome: &str) {
        self.clear();
        let elapsed = self.started.elapsed();
        let time = if elapsed >= Duration::from_secs(1) {
            self.printer.paint_err().faint(&format!(" · {:.1} s", elapsed.as_secs_f64()))
        } else {
            String::new()
        };
        self.printer.status(&format!("  {outcome}{time}"));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.clear();
    }
}
