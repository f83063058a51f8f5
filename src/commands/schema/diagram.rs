use super::list::plural;
use super::unknown;
use crate::commands::context::Context;
use crate::commands::database;
use crate::error::{CommandError, ErrorKind};
use crate::schema::{Catalog, Diagram, ObjectName, mermaid, svg};
use crate::system::{one_line, write_plain};
use crate::ui::{ExitStatus, Paint, Report};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The drawing that was written.
#[derive(Debug, Serialize)]
struct DiagramReport {
    file: PathBuf,
    tables: usize,
    foreign_keys: usize,
}

/// What a drawing is made of; the file's ending says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Svg,
    Mermaid,
}

impl Language {
    pub(super) fn of(file: &Path) -> Result<Self, CommandError> {
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("svg") => Ok(Self::Svg),
            Some("mmd" | "mermaid") => Ok(Self::Mermaid),
            _ => {
                let message = format!("{} is neither an .svg nor an .mmd file", file.display());
                Err(CommandError::new(ErrorKind::Usage, message)
                    .hint("name the file by what it should be: `--diagram schema.svg` or `--diagram schema.mmd`"))
            }
        }
    }
}

/// `devdb schema [NAME] --diagram FILE`.
pub(super) async fn run(
    context: &Context,
    catalog: &mut dyn Catalog,
    file: &Path,
    language: Language,
    name: Option<&ObjectName>,
) -> Result<ExitStatus, CommandError> {
    let ledger = database::migration_settings(context)?;
    let database = catalog.read_all().await?;
    let mut drawing = Diagram::of(&database, &[&ledger.table, &ledger.lock_table]);
    if let Some(name) = name {
        let names: Vec<String> = drawing.tables.iter().map(|table| table.name.clone()).collect();
        drawing = drawing.around(name).ok_or_else(|| unknown(name, &names))?;
    }
    let text = match language {
        Language::Svg => svg(&drawing),
        Language::Mermaid => mermaid(&drawing),
    };
    write_plain(&context.host().surroundings.cwd.join(file), text.as_bytes()).map_err(|error| {
        let mut failure = CommandError::failed(format!("{} could not be written", file.display()));
        failure.causes.push(error.to_string());
        failure.hint("check that the folder is there and that you may write to it")
    })?;
    context.printer().report(&DiagramReport {
        file: file.to_owned(),
        tables: drawing.tables.len(),
        foreign_keys: drawing.links.len(),
    })?;
    Ok(ExitStatus::Success)
}

impl Report for DiagramReport {
    fn text(&self, _: Paint) -> String {
        let (tables, keys) = (plural(self.tables, "table"), plural(self.foreign_keys, "foreign key"));
        format!("{}: {tables}, {keys}\n", one_line(&self.file.display().to_string()))
    }
}
