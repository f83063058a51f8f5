use super::Paint;
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
        let mut text = format!("{} {}\n", paint.bad("error:"), self.message);
        match self.causes.as_slice() {
            [] => {}
            [only] => text.push_str(&format!("  Caused by: {only}\n")),
            many => {
                text.push_str("  Caused by:\n");
                for (number, cause) in many.iter().enumerate() {
                    text.push_str(&format!("    {}: {cause}\n", number + 1));
                }
            }
        }
        if !self.hints.is_empty() {
            text.push('\n');
        }
        for hint in &self.hints {
            text.push_str(&format!("{} {hint}\n", paint.hint("hint:")));
        }
        text
    }

    /// The `--json` form: `{"error": {"kind", "message", "causes", "hints"}}`.
    pub fn json(&self) -> String {
        serde_json::json!({ "error": self }).to_string()
    }
}
