#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// There is no terminal to ask at, or `--no-input` or `--json` forbids it.
    #[error("there is no terminal to ask at")]
    NoTerminal,
    #[error("cancelled")]
    Cancelled,
    #[error("the terminal could not be read")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Asks the person at the terminal.
pub trait Prompter: Send + Sync {
    /// Asks a yes-or-no question; plain Enter means no.
    fn confirm(&self, question: &str) -> Result<bool, PromptError>;
    /// Asks to choose one of the options; returns its index.
    fn select(&self, question: &str, options: &[String]) -> Result<usize, PromptError>;
    /// Asks for a line of text.
    fn text(&self, question: &str, default: Option<&str>) -> Result<String, PromptError>;
}
