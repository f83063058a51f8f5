//! Windows: the only room that is seen from outside. stdout is the product, stderr is the narration.

mod error_report;
mod exit_status;
mod paint;
mod printer;
mod progress;
mod prompt;
mod selection;
mod sparkline;
mod table;

pub use error_report::Failure;
pub use exit_status::ExitStatus;
pub use paint::Paint;
pub use printer::{Printer, PrinterSettings, Report};
pub use progress::Step;
pub use prompt::{PromptError, Prompter};
pub use selection::Selection;
pub use sparkline::sparkline;
pub use table::{Table, grouped};
