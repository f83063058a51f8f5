//! `devdb schema …`

mod definition;
mod diagram;
mod dump;
mod history;
mod list;
mod type_definition;

use super::context::Context;
use super::database::{self, DatabaseArgs};
use crate::error::CommandError;
use crate::schema::{Found, Lookup, ObjectName, nearest};
use crate::system::shell_word;
use crate::ui::ExitStatus;
use std::path::PathBuf;

/// Show what the database really looks like
///
/// Without a name: every table with its rows (an estimate) and its size. With one: the complete definition of a table,
/// view, materialized or foreign table, sequence or type. A name is found as in SQL: along the search path, in lower
/// case unless it is quoted ('"Order Lines"'), or with its schema (billing.invoices).
#[derive(Debug, clap::Args)]
pub(crate) struct SchemaArgs {
    /// Table, view, sequence or type
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Show the migrations that touched the table instead, in order, with their statements
    #[arg(long, requires = "name", conflicts_with_all = ["dump", "diagram"])]
    history: bool,
    /// Draw the tables and their foreign keys into this .svg or .mmd (Mermaid) file; with a name, its neighbours
    #[arg(long, value_name = "FILE", conflicts_with = "dump")]
    diagram: Option<PathBuf>,
    /// Print SQL that makes the whole schema anew: the same text whenever the schema is the same
    #[arg(long, conflicts_with = "name")]
    dump: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(crate) async fn run(args: &SchemaArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let name = args.name.as_deref().map(ObjectName::parse).transpose()?;
    if let (Some(name), true) = (&name, args.history) {
        return history::run(context, &args.database, name).await;
    }
    let language = args.diagram.as_deref().map(diagram::Language::of).transpose()?;
    let (connection, provenance) = database::connection(context, &args.database).await?;
    let mut catalog = database::catalog(context, &connection, &provenance).await?;
    if let (Some(file), Some(language)) = (&args.diagram, language) {
        return diagram::run(context, catalog.as_mut(), file, language, name.as_ref()).await;
    }
    if args.dump {
        return dump::run(context, catalog.as_mut()).await;
    }
    match &name {
        None => context.printer().report(&catalog.list().await?)?,
        Some(name) => match catalog.find(name).await? {
            Lookup::Found(Found::Relation(relation)) => context.printer().report(&*relation)?,
            Lookup::Found(Found::Type(found)) => context.printer().report(&*found)?,
            Lookup::Unknown(names) => return Err(unknown(name, &names)),
        },
    }
    Ok(ExitStatus::Success)
}

fn unknown(name: &ObjectName, names: &[String]) -> CommandError {
    let error = CommandError::failed(format!("there is no table, view, sequence or type `{name}`"));
    let like = nearest(&name.typed, names);
    match like.as_slice() {
        [] => error.hint("`devdb schema` lists what there is"),
        like => {
            let commands = like.iter().map(|name| format!("`devdb schema {}`", shell_word(name)));
            error.hint(format!("did you mean {}?", commands.collect::<Vec<_>>().join(" or ")))
        }
    }
}
