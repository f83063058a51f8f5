use crate::commands::context::Context;
use crate::commands::database;
use crate::error::CommandError;
use crate::migrate::{CheckFinding, CheckProblem, CheckReport, check};
use crate::system::{one_line, shell_word};
use crate::ui::{ExitStatus, Paint, Report};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Check that this branch's migrations fit behind those of the branch it will be merged into
///
/// Asks git, and no database, so it works in CI and in a hook. A new migration must sort after the base's newest, or every
/// database that has that one refuses the next run; and files that the base has must be neither edited nor deleted.
/// Exit code 3 when something is found.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The branch, tag or commit to compare with
    #[arg(long, value_name = "REF", default_value = "origin/main")]
    base: String,
}

pub(crate) fn run(args: &CheckArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let settings = database::migration_settings(context)?;
    let repository = context.host().tools.repository(&settings.dir);
    let now = context.host().clock.now();
    let found = check(repository.as_ref(), &settings.dir, &args.base, settings.allow_unordered, now)?;
    let folder = settings.dir.strip_prefix(&context.host().surroundings.cwd).unwrap_or(&settings.dir).to_owned();
    let passed = found.findings.is_empty();
    context.printer().report(&Checked { found, folder })?;
    Ok(if passed { ExitStatus::Success } else { ExitStatus::No })
}

/// The findings, and where the files are for somebody who types.
#[derive(Serialize)]
struct Checked {
    #[serde(flatten)]
    found: CheckReport,
    #[serde(skip)]
    folder: PathBuf,
}

impl Report for Checked {
    fn text(&self, paint: Paint) -> String {
        let CheckReport { base, newest, new, findings, renames } = &self.found;
        let newest = newest.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let described = |finding: &CheckFinding| match finding.problem {
            CheckProblem::OutOfOrder => format!("sorts before {newest}, which {base} has"),
            CheckProblem::Edited => format!("was edited, but {base} has it already"),
            CheckProblem::Deleted => format!("was deleted, but {base} has it"),
        };
        let mut text = String::new();
        for finding in findings {
            text.push_str(&format!("  {}  {}\n", paint.bad(finding.migration.as_str()), one_line(&described(finding))));
        }
        if !renames.is_empty() {
            text.push_str("to move this branch's migrations behind them, in their own order:\n");
            let line = |(from, to): (&String, &String)| format!("  git mv {} {}\n", self.typed(from), self.typed(to));
            text.extend(renames.iter().map(|rename| (&rename.from, &rename.to)).map(line));
        }
        let changed = findings.iter().filter(|finding| finding.problem != CheckProblem::OutOfOrder);
        let changed: Vec<String> = changed.flat_map(|finding| &finding.files).map(|file| self.typed(file)).collect();
        if !changed.is_empty() {
            text.push_str("to put back what is there already, and write what is to change as a new migration:\n");
            text.push_str(&format!("  git checkout {} -- {}\n", shell_word(base), changed.join(" ")));
        }
        let count = match new.len() {
            0 => "no new migrations".to_owned(),
            1 => "1 new migration".to_owned(),
            count => format!("{count} new migrations"),
        };
        let verdict = if findings.is_empty() { paint.good("in order") } else { paint.bad("not ready to be merged") };
        let base = one_line(base);
        text.push_str(&format!("{count}; the newest of {base} is {newest}: {verdict}\n"));
        text
    }
}

impl Checked {
    /// A file as it would be typed in the folder where devdb runs.
    fn typed(&self, file: &str) -> String {
        shell_word(&self.folder.join(Path::new(file)).display().to_string())
    }
}
