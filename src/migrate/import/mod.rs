//! Makes SQL files of a Kysely project's TypeScript and JavaScript migrations.
//!
//! A [`Recorder`] runs each migration on a database that is not there and tells what it executed. `written` (pure) makes
//! the text of its files of that, or a [`Refusal`] where SQL alone would not do the same; `plan` (pure) compares them with
//! what stands in the folder; `files` puts all of them there, or none. [`import`] is the whole of it.

mod files;
mod importer;
mod literal;
mod marks;
mod plan;
mod recording;
mod refusal;
mod report;
mod sources;
mod written;

pub use importer::{ImportError, ImportSpec, import};
pub use literal::literal;
pub use recording::{Executed, Parameter, Recorded, Recorder, RecorderError, Recording, RecordingOrder, Run};
pub use refusal::Refusal;
pub use report::{ImportReport, ImportedFile, Outcome};
pub use sources::{SourceFile, SourcesError};
