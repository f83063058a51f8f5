use crate::commands::context::Context;
use crate::config::{Entry, KEYS};
use crate::error::CommandError;
use crate::ui::{ExitStatus, Paint, Report, Table};
use serde::Serialize;

/// Show the effective settings of the selected environment
///
/// Layers, strongest first: flag, DEVDB_… variable, devdb.local.toml, devdb.toml, default.
/// What is not set here (VPC, cluster, secret) is discovered from the stack when it is needed.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// Show where each value came from
    #[arg(long)]
    origin: bool,
}

pub(crate) fn run(args: &ShowArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let settings = context.described()?;
    let rows = KEYS.iter().filter_map(|key| settings.entries.get_key_value(key.name));
    let report = ConfigReport {
        environment: settings.environment.clone(),
        settings: rows.map(|(name, entry)| Row::new(name, entry)).collect(),
        show_origin: args.origin,
    };
    context.printer().report(&report)?;
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct ConfigReport {
    environment: String,
    settings: Vec<Row>,
    #[serde(skip)]
    show_origin: bool,
}

#[derive(Serialize)]
struct Row {
    key: &'static str,
    value: crate::config::Value,
    origin: String,
}

impl Row {
    fn new(key: &'static str, entry: &Entry) -> Self {
        Self { key, value: entry.value.clone(), origin: entry.origin.to_string() }
    }
}

impl Report for ConfigReport {
    fn text(&self, paint: Paint) -> String {
        let mut table = Table::new();
        for row in &self.settings {
            let origin = if self.show_origin { paint.faint(&row.origin) } else { String::new() };
            table.row([row.key.to_owned(), row.value.to_string(), origin]);
        }
        format!("{}\n{}", paint.strong(&format!("environment {}", self.environment)), table.render(2))
    }
}
