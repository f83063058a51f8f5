use crate::commands::context::Context;
use crate::error::CommandError;
use crate::schema::{Catalog, Database, dump};
use crate::ui::{ExitStatus, Paint, Report};

/// `devdb schema --dump`.
pub(super) async fn run(context: &Context, catalog: &mut dyn Catalog) -> Result<ExitStatus, CommandError> {
    let database = catalog.read_all().await?;
    context.printer().report(&database)?;
    if !database.left_out.is_empty() {
        let parts = database.left_out.iter().map(|left| format!("{} ({})", left.what, left.count));
        let parts = parts.collect::<Vec<_>>().join(", ");
        context.printer().warning(&format!("the dump leaves out {parts}; `pg_dump --schema-only` has them"));
    }
    Ok(ExitStatus::Success)
}

impl Report for Database {
    fn text(&self, _: Paint) -> String {
        dump(self)
    }
}
