use crate::commands::context::Context;
use crate::commands::database;
use crate::error::CommandError;
use crate::schema::{Catalog, Ledger, dump};
use crate::ui::ExitStatus;

/// `devdb schema --dump`: the schema as SQL; in JSON, what it is made of.
pub(super) async fn run(context: &Context, catalog: &mut dyn Catalog) -> Result<ExitStatus, CommandError> {
    let settings = database::migration_settings(context)?;
    let ledger = Ledger { schema: settings.schema.as_deref(), tables: [&settings.table, &settings.lock_table] };
    let database = catalog.read_all().await?;
    let dumped = dump(&database, &ledger)?;
    match context.printer().settings().json {
        true => context.printer().document(&serde_json::to_string_pretty(&database).map_err(std::io::Error::from)?)?,
        false => context.printer().for_programs(&dumped.text)?,
    }
    if !dumped.left_out.is_empty() {
        let parts = dumped.left_out.join(", ");
        context.printer().warning(&format!("the dump leaves out {parts}; so does `pg_dump --schema-only`"));
    }
    Ok(ExitStatus::Success)
}
