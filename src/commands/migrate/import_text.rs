//! How an import is told.

use crate::migrate::import::{ImportReport, ImportedFile, Outcome};
use crate::system::one_line;
use crate::ui::{Paint, Report};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The report, with its folders as somebody in this one would name them.
#[derive(Serialize)]
pub(super) struct Imported {
    #[serde(flatten)]
    pub(super) report: ImportReport,
}

impl Imported {
    pub(super) fn new(mut report: ImportReport, cwd: &Path) -> Self {
        let shown = |path: &Path| -> PathBuf { path.strip_prefix(cwd).unwrap_or(path).to_owned() };
        (report.from, report.into) = (shown(&report.from), shown(&report.into));
        Self { report }
    }
}

fn outcome(outcome: Outcome, written: bool, paint: Paint) -> String {
    match (outcome, written) {
        (Outcome::Unchanged, _) => paint.faint("unchanged"),
        (Outcome::Kept, _) => paint.faint("left as it is"),
        (Outcome::New, true) => paint.good("written"),
        (Outcome::New, false) => "new".to_owned(),
        (Outcome::Replaced, true) => paint.warn("replaced"),
        (Outcome::Replaced, false) => paint.warn("to be replaced"),
        (Outcome::Draft, _) => paint.warn("draft"),
        (Outcome::Conflict, _) => paint.bad("has another content"),
        (Outcome::Refused, _) => paint.bad("refused"),
    }
}

impl Report for Imported {
    fn text(&self, paint: Paint) -> String {
        let ImportReport { files, ignored, into, written, .. } = &self.report;
        let mut text = String::new();
        let width = files.iter().map(|file| file.file.chars().count()).max().unwrap_or(0);
        for migration in by_migration(files) {
            for file in &migration {
                let what = outcome(file.outcome, *written, paint);
                text.push_str(&format!("  {:width$}  {what}\n", one_line(&file.file)));
            }
            for ImportedFile { file, looks, reason, .. } in migration {
                let which = if file.ends_with(".down.sql") { "down" } else { "up" };
                if let Some(reason) = reason {
                    text.push_str(&format!("    {} {}\n", paint.strong(&format!("{which}:")), one_line(reason)));
                }
                for look in looks {
                    text.push_str(&format!("    {} {}\n", paint.faint(&format!("look at {which}:")), one_line(look)));
                }
            }
        }
        for file in ignored {
            text.push_str(&format!(
                "  {}  {}\n",
                one_line(file),
                paint.faint("exports no up, so it is no migration for Kysely either")
            ));
        }
        let count = |wanted: &[Outcome]| files.iter().filter(|file| wanted.contains(&file.outcome)).count();
        let new = count(&[Outcome::New, Outcome::Replaced]);
        let (same, drafts) = (count(&[Outcome::Unchanged, Outcome::Kept]), count(&[Outcome::Draft]));
        let verb = if *written { "written" } else { "to write" };
        let drafts = if drafts > 0 { format!(", {drafts} to fill in") } else { String::new() };
        text.push_str(&format!(
            "{}: {new} {verb}, {same} there already{drafts}\n",
            one_line(&into.display().to_string())
        ));
        text
    }
}

/// The files of each migration, up before down.
fn by_migration(files: &[ImportedFile]) -> Vec<Vec<&ImportedFile>> {
    let groups = files.chunk_by(|one, other| one.migration == other.migration);
    groups.map(|group| group.iter().rev().collect()).collect()
}
