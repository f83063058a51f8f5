use super::sql::StatementKind;
use super::{Direction, MigrationName, MigrationSource, Script, SourceError};
use serde::Serialize;

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
        let advice = linter.lint(script.text(), runs_in_one_transaction(&script));
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

/// Where it does not, a run that fails in the middle begins with the same statements again.
fn runs_in_one_transaction(script: &Script) -> bool {
    script.is_transactional()
        && !script.statements().iter().any(|statement| matches!(statement.kind, StatementKind::Alone { .. }))
}
