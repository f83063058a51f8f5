use super::files::{self, FileError};
use super::plan::{Leave, decide};
use super::recording::{Recorder, RecorderError, Recording, RecordingOrder};
use super::report::ImportReport;
use super::sources::{SourcesError, sources};
use super::written::halves;
use crate::migrate::{FolderSource, SourceError};
use crate::system::Processes;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What is to be imported, and how far that may go.
#[derive(Debug, Clone)]
pub struct ImportSpec {
    /// The folder of migrations in TypeScript or JavaScript.
    pub from: PathBuf,
    /// The folder of migrations in SQL.
    pub into: PathBuf,
    /// Replace SQL files that have another content.
    pub force: bool,
    /// Write drafts for what cannot be imported.
    pub drafts: bool,
    /// Write nothing.
    pub dry_run: bool,
    /// How long a single file may take.
    pub patience: Duration,
    /// The value of `TZ` while the migrations run.
    pub time_zone: String,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Sources(#[from] SourcesError),
    #[error(transparent)]
    Recorder(#[from] RecorderError),
    /// The SQL folder would not be in order with the new files in it.
    #[error(transparent)]
    Folder(#[from] SourceError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Records all, decides about all, and then writes all or nothing. `tell` is given what is being recorded, its number, and
/// how many there are.
///
/// # Errors
/// [`ImportError`]; nothing is written then. What stands against single migrations is in the report.
pub async fn import(
    spec: &ImportSpec,
    recorder: &dyn Recorder,
    processes: &dyn Processes,
    tell: &mut (dyn FnMut(&str, usize, usize) + Send),
) -> Result<ImportReport, ImportError> {
    let sources = sources(&spec.from)?;
    let order = RecordingOrder {
        folder: spec.from.clone(),
        files: sources.iter().map(|source| source.file.clone()).collect(),
        patience: spec.patience,
        time_zone: spec.time_zone.clone(),
    };
    let mut begun = |at: usize| {
        if let Some(file) = order.files.get(at) {
            tell(file, at, order.files.len());
        }
    };
    let recordings = recorder.record(&order, &mut begun).await?;
    let standing = files::standing(&spec.into, &sources)?;
    let mut report = ImportReport {
        from: spec.from.clone(),
        into: spec.into.clone(),
        files: Vec::new(),
        ignored: Vec::new(),
        written: false,
    };
    let mut new = Vec::new();
    let leave = Leave { force: spec.force, drafts: spec.drafts };
    for (source, recording) in sources.iter().zip(&recordings) {
        if *recording == Recording::Ignored {
            report.ignored.push(source.file.clone());
        }
        // Down first: a down file without its up stops everybody, an up file without its down stops nobody.
        for half in halves(source, recording).into_iter().rev() {
            let (told, file) = decide(source, half, &standing, leave);
            report.files.push(told);
            new.extend(file);
        }
    }
    if report.is_stopped() {
        return Ok(report);
    }
    refuse_a_folder_out_of_order(spec, &new)?;
    if !spec.dry_run {
        files::write(&spec.into, &new, processes)?;
        report.written = true;
    }
    Ok(report)
}

fn refuse_a_folder_out_of_order(spec: &ImportSpec, new: &[files::NewFile]) -> Result<(), ImportError> {
    let mut names: Vec<String> = match std::fs::read_dir(&spec.into) {
        Ok(entries) => entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(SourceError::Unreadable { path: spec.into.clone(), source }.into()),
    };
    names.extend(new.iter().map(|new| new.file.clone()));
    names.sort();
    names.dedup();
    FolderSource::listed(names.iter())?;
    Ok(())
}
