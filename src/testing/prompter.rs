use crate::ui::{PromptError, Prompter};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// One scripted answer.
#[derive(Debug, Clone)]
pub enum Answer {
    Confirm(bool),
    Select(usize),
    Text(String),
    Cancel,
}

/// Answers from a script; a question too many is `NoTerminal`, an answer too many is found by [`Self::left_over`].
#[derive(Default)]
pub struct ScriptedPrompter {
    answers: Mutex<VecDeque<Answer>>,
    questions: Mutex<Vec<String>>,
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl ScriptedPrompter {
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).extend(answers);
    }

    /// What happens while the next question stands.
    pub fn meanwhile(&self, act: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(act));
    }

    /// The questions that were asked.
    pub fn questions(&self) -> Vec<String> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers that nobody asked for.
    pub fn left_over(&self) -> usize {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn next(&self, question: &str) -> Result<Answer, PromptError> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).push(question.to_owned());
        if let Some(act) = self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner).take() {
            act();
        }
        match self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
            Some(Answer::Cancel) => Err(PromptError::Cancelled),
            Some(answer) => Ok(answer),
            None => Err(PromptError::NoTerminal),
        }
    }
}

impl Prompter for ScriptedPrompter {
    fn confirm(&self, question: &str) -> Result<bool, PromptError> {
        match self.next(question)? {
            Answer::Confirm(yes) => Ok(yes),
            other => panic!("`{question}` was answered with {other:?}"),
        }
    }

    fn select(&self, question: &str, options: &[String]) -> Result<usize, PromptError> {
        match self.next(question)? {
            Answer::Select(index) if index < options.len() => Ok(index),
            other => panic!("`{question}` was answered with {other:?}"),
        }
    }

    fn text(&self, question: &str, _default: Option<&str>) -> Result<String, PromptError> {
        match self.next(question)? {
            Answer::Text(text) => Ok(text),
            other => panic!("`{question}` was answered with {other:?}"),
        }
    }
}
