use crate::commands::context::Context;
use crate::commands::database;
use crate::error::{CommandError, ErrorKind};
use crate::migrate::{FolderSource, MigrationName, MigrationSource, SourceError};
use crate::system::one_line;
use crate::ui::{ExitStatus, Paint, Report};
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

const UP: &str = include_str!("../../../templates/migration.up.sql");
const DOWN: &str = include_str!("../../../templates/migration.down.sql");

/// Make the files of a new migration, named after the time
///
/// The name sorts after every existing one. Nothing is ever overwritten.
#[derive(Debug, clap::Args)]
pub(crate) struct NewArgs {
    /// What it does, in a few words: add_invoice_index
    name: String,
}

pub(crate) fn run(args: &NewArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let dir = &database::migration_settings(context)?.dir;
    let newest = match FolderSource::open(dir, dir) {
        Ok(source) => source.names().last().cloned(),
        Err(SourceError::NoFolder { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let name = MigrationName::following(&words(&args.name)?, newest.as_ref(), context.host().clock.now())?;
    std::fs::create_dir_all(dir).map_err(|error| not_written(dir, &error))?;
    let up = create(dir, &format!("{name}.up.sql"), UP)?;
    let down = create(dir, &format!("{name}.down.sql"), DOWN)?;
    let cwd = &context.host().surroundings.cwd;
    let shown = |path: PathBuf| path.strip_prefix(cwd).map(Path::to_owned).unwrap_or(path);
    context.printer().report(&NewReport { name, files: [shown(up), shown(down)] })?;
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct NewReport {
    name: MigrationName,
    files: [PathBuf; 2],
}

impl Report for NewReport {
    fn text(&self, _paint: Paint) -> String {
        self.files.iter().map(|file| format!("{}\n", one_line(&file.display().to_string()))).collect()
    }
}

/// The words of a file name: letters that sort alike in JavaScript and in every collation.
fn words(text: &str) -> Result<String, CommandError> {
    let mut words = String::new();
    for letter in text.trim().trim_end_matches(".sql").chars() {
        match letter.to_ascii_lowercase() {
            letter @ ('a'..='z' | '0'..='9') => words.push(letter),
            '_' | '-' | ' ' | '.' if !words.ends_with('_') && !words.is_empty() => words.push('_'),
            '_' | '-' | ' ' | '.' => {}
            other => {
                return Err(CommandError::new(
                    ErrorKind::Usage,
                    format!("`{other}` cannot stand in a migration's name"),
                )
                .hint("use letters, digits and _, for example add_invoice_index"));
            }
        }
    }
    let words = words.trim_end_matches('_').to_owned();
    if words.is_empty() {
        return Err(CommandError::new(ErrorKind::Usage, "the name is empty").hint("for example add_invoice_index"));
    }
    Ok(words)
}

fn create(dir: &Path, name: &str, text: &str) -> Result<PathBuf, CommandError> {
    let path = dir.join(name);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| not_written(&path, &error))?;
    Ok(path)
}

pub(super) fn not_written(path: &Path, error: &std::io::Error) -> CommandError {
    let mut shown = CommandError::failed(format!("{} could not be written", path.display()));
    shown.causes.push(error.to_string());
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_made_plain_or_refused() {
        assert_eq!(words("Add invoice-index.sql").unwrap(), "add_invoice_index");
        assert!(words("../x").is_err());
        assert!(words("--").is_err());
    }
}
