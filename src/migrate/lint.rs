use super::{Direction, MigrationName, MigrationSource, Script, SourceError};
use serde::Serialize;
use std::borrow::Cow;

/// What a linter says about a place in some SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// In bytes.
    pub offset: usize,
    /// The rule.
    pub code: String,
    pub message: String,
    /// What to do instead.
    pub help: Option<String>,
}

/// Knows what SQL does to a busy database.
pub trait Linter: Send + Sync {
    /// Without the rules about transactions and timeouts: those are devdb's part.
    fn lint(&self, sql: &str, in_transaction: bool) -> Vec<Advice>;

    /// Whether there is such a rule.
    fn knows(&self, code: &str) -> bool;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LintFinding {
    pub migration: MigrationName,
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    pub code: String,
    pub message: String,
    pub help: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LintReport {
    /// The migrations that were looked at.
    pub checked: Vec<MigrationName>,
    pub findings: Vec<LintFinding>,
}

/// Looks at the up parts of some migrations; a rule in `excluded` finds nothing.
///
/// # Errors
/// [`SourceError`] for a file that cannot be run at all.
pub fn lint(
    source: &dyn MigrationSource,
    names: &[MigrationName],
    linter: &dyn Linter,
    excluded: &[String],
) -> Result<LintReport, SourceError> {
    let mut findings = Vec::new();
    for name in names {
        let Some(script) = source.script(name, Direction::Up)? else { continue };
        let advice = linter.lint(&without_rows(&script), runs_in_one_transaction(&script));
        let advice = advice.into_iter().filter(|advice| !excluded.contains(&advice.code));
        findings.extend(advice.map(|Advice { offset, code, message, help }| {
            let place = script.location_in_text(offset);
            LintFinding {
                migration: name.clone(),
                file: place.file.display().to_string(),
                line: place.line,
                column: place.column,
                code,
                message,
                help,
            }
        }));
    }
    Ok(LintReport { checked: names.to_vec(), findings })
}

/// The script's text. In a large one, each `INSERT` is blank: no rule is about rows, and a syntax tree of them takes fifty
/// times their size. Offsets stay.
fn without_rows(script: &Script) -> Cow<'_, str> {
    const LARGE: usize = 1 << 20;
    let text = script.text();
    if text.len() <= LARGE {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.as_bytes().to_vec();
    for (at, sql) in script.each(0..script.statements().len()).enumerate() {
        if sql.get(..6).is_some_and(|word| word.eq_ignore_ascii_case("insert")) {
            bytes[script.range_in_text(at)].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
    }
    // Whole statements were taken, so no letter was cut.
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Where it does not, a run that fails in the middle begins with the same statements again.
fn runs_in_one_transaction(script: &Script) -> bool {
    !(0..script.statements().len()).any(|statement| script.is_alone(statement))
}
