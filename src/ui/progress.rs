use super::Printer;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// One piece of work that the user waits for.
pub struct Step {
    printer: Printer,
    label: String,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Step {
    pub(super) fn start(printer: Printer, label: &str) -> Self {
        let settings = printer.settings();
        let bar = (settings.animate && !settings.quiet && !settings.json).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} {elapsed:.dim}") {
                bar.set_style(style.tick_chars("|/-\\ "));
            }
            bar.set_message(label.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        *printer.spinner.lock().unwrap_or_else(PoisonError::into_inner) = bar.clone();
        Self { printer, label: label.to_owned(), started: Instant::now(), bar }
    }

    /// Says what the work is waiting for now; seen only on a terminal.
    pub fn note(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {text}", self.label));
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            self.printer.spinner.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    /// Ends the step with a line; the time is shown from one second on.
    pub fn done(self, outcome: &str) {
        self.clear();
        let elapsed = self.started.elapsed();
        let time = if elapsed >= Duration::from_secs(1) {
            self.printer.paint_err().faint(&format!(" ({:.1} s)", elapsed.as_secs_f64()))
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
