use crate::commands::context::Context;
use crate::commands::database;
use crate::error::CommandError;
use crate::schema::{Catalog, Database, Ledger, dump};
use crate::ui::{ExitStatus, Paint, Report};
use serde::Serialize;

/// The schema as SQL; in JSON, what it is made of.
#[derive(Serialize)]
struct DumpReport {
    #[serde(flatten)]
    database: Database,
    #[serde(skip)]
    text: String,
}

/// `devdb schema --dump`.
pub(super) async fn run(context: &Context, catalog: &mut dyn Catalog) -> Result<ExitStatus, CommandError> {
    let settings = database::migration_settings(context)?;
    let ledger = Ledger { schema: settings.schema.as_deref(), tables: [&settings.table, &settings.lock_table] };
    let database = catalog.read_all().await?;
    let dumped = dump(&database, &ledger)?;
    context.printer().report(&DumpReport { database, text: dumped.text })?;
    if !dumped.left_out.is_empty() {
        let parts = dumped.left_out.join(", ");
        context.printer().warning(&format!("the dump leaves out {parts}; so does `pg_dump --schema-only`"));
    }
    Ok(ExitStatus::Success)
}

impl Report for DumpReport {
    fn text(&self, _: Paint) -> String {
        self.text.clone()
    }
}
