use crate::commands::context::Context;
use crate::error::CommandError;
use crate::ui::{Paint, Report, Table};
use serde::Serialize;

/// How one link is. An error is a broken one.
pub(super) type Look = Result<Sound, CommandError>;

/// A link that holds.
pub(super) struct Sound {
    said: String,
    /// What deserves attention, and what to do about it.
    warning: Option<(String, String)>,
}

impl Sound {
    pub(super) fn new(said: impl Into<String>) -> Self {
        Self { said: said.into(), warning: None }
    }

    #[must_use]
    pub(super) fn warn(self, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { warning: Some((what.into(), hint.into())), ..self }
    }

    #[must_use]
    pub(super) fn warn_if(self, holds: bool, what: &str, hint: &str) -> Self {
        if holds { self.warn(what, hint) } else { self }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warn,
    Fail,
    /// It could not be looked at, because of a link before it.
    Unknown,
}

/// One link of the chain.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    link: &'static str,
    verdict: Verdict,
    said: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

impl Finding {
    pub(super) fn of(link: &'static str, look: Look) -> Self {
        match look {
            Ok(Sound { said, warning: None }) => {
                Self { link, verdict: Verdict::Ok, said, causes: Vec::new(), hints: Vec::new() }
            }
            Ok(Sound { said, warning: Some((what, hint)) }) => {
                Self { link, verdict: Verdict::Warn, said, causes: vec![what], hints: vec![hint] }
            }
            Err(error) => {
                Self { link, verdict: Verdict::Fail, said: error.message, causes: error.causes, hints: error.hints }
            }
        }
    }

    pub(super) fn unknown(link: &'static str, why: &str) -> Self {
        Self { link, verdict: Verdict::Unknown, said: why.to_owned(), causes: Vec::new(), hints: Vec::new() }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.verdict == Verdict::Fail
    }

    pub(super) fn is_known(&self) -> bool {
        !matches!(self.verdict, Verdict::Fail | Verdict::Unknown)
    }
}

#[derive(Serialize)]
pub(super) struct DoctorReport {
    links: Vec<Finding>,
}

impl DoctorReport {
    pub(super) fn new(context: &Context, mut links: Vec<Finding>) -> Self {
        let hints = links.iter_mut().flat_map(|finding| &mut finding.hints);
        hints.for_each(|hint| *hint = context.printer().pasteable(hint));
        Self { links }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.links.iter().all(Finding::is_known)
    }
}

impl Report for DoctorReport {
    fn text(&self, paint: Paint) -> String {
        let mut table = Table::new();
        for finding in &self.links {
            let verdict = match finding.verdict {
                Verdict::Ok => paint.good("ok"),
                Verdict::Warn => paint.warn("warn"),
                Verdict::Fail => paint.bad("fail"),
                Verdict::Unknown => paint.faint("?"),
            };
            // ssh and Kysely say some things on several lines.
            let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            table.row([verdict, finding.link.to_owned(), line(&finding.said)]);
            let causes = finding.causes.iter().map(|cause| line(cause));
            let hints = finding.hints.iter().map(|hint| format!("{} {}", paint.hint("hint:"), line(hint)));
            causes.chain(hints).for_each(|below| table.row(["", "", &below]));
        }
        table.render(0)
    }
}
