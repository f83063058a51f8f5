use crate::ui::{PromptError, Prompter};
use inquire::InquireError;

/// Asks with `inquire`.
pub(crate) struct TerminalPrompter;

fn translate(error: InquireError) -> PromptError {
    match error {
        InquireError::NotTTY => PromptError::NoTerminal,
        InquireError::OperationCanceled | InquireError::OperationInterrupted => PromptError::Cancelled,
        other => PromptError::Failed(Box::new(other)),
    }
}

impl Prompter for TerminalPrompter {
    fn confirm(&self, question: &str) -> Result<bool, PromptError> {
        inquire::Confirm::new(question).with_default(false).prompt().map_err(translate)
    }

    fn select(&self, question: &str, options: &[String]) -> Result<usize, PromptError> {
        let chosen = inquire::Select::new(question, options.to_vec()).raw_prompt().map_err(translate)?;
        Ok(chosen.index)
    }

    fn text(&self, question: &str, default: Option<&str>) -> Result<String, PromptError> {
        let prompt = inquire::Text::new(question);
        match default {
            Some(default) => prompt.with_default(default).prompt(),
            None => prompt.prompt(),
        }
        .map_err(translate)
    }
}
