use super::Paint;
use crate::system::barred;
use serde::Serialize;

/// What is said when a command fails: `error:`, `Caused by:`, `hint:`.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Failure {
    pub kind: &'static str,
    pub message: String,
    pub causes: Vec<String>,
    pub hints: Vec<String>,
}

impl Failure {
    /// The human form, for stderr.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = format!("{} {}\n", paint.bad("error:"), barred(&self.message, "  "));
        match self.causes.as_slice() {
            [] => {}
            [only] => text.push_str(&format!("  Caused by: {}\n", barred(only, "    "))),
            many => {
                text.push_str("  Caused by:\n");
                for (number, cause) in many.iter().enumerate() {
                    text.push_str(&format!("    {}: {}\n", number + 1, barred(cause, "       ")));
                }
            }
        }
        if !self.hints.is_empty() {
            text.push('\n');
        }
        for hint in &self.hints {
            text.push_str(&format!("{} {}\n", paint.hint("hint:"), barred(hint, "  ")));
        }
        text
    }

    /// The `--json` form: `{"error": {"kind", "message", "causes", "hints"}}`.
    pub fn json(&self) -> String {
        serde_json::json!({ "error": self }).to_string()
    }
}
