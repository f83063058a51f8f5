//! `devdb trust` and `devdb untrust`.

mod gate;

use super::account;
use super::context::Context;
use crate::config::{self, Claim, ClaimedValue, Standing};
use crate::error::CommandError;
use crate::system::one_line;
use crate::ui::{ExitStatus, Paint, Report, Table};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Let what this project's devdb.toml says about accounts, databases and programs count
///
///   devdb trust          trust the values as they are now, and show them
///   devdb trust --show   show them and what changed; exit code 3 if they are not trusted
///
/// A devdb.toml comes with a clone, and with it what it names: programs (`ssh.proxy_command`), an
/// AWS profile, a secret, certificate authorities, addresses that are let in. An environment that
/// such a file describes is used only after this command, and after it again whenever one of these
/// values changes; on a terminal devdb asks where it is needed. Migrations of a database that you
/// name yourself, `migrate lint`, `migrate check` and `config show` need no trust.
///
/// Without a terminal, DEVDB_TRUSTED_CONFIG=/absolute/path/devdb.toml trusts that file whatever it
/// holds. In CI, set it only where each change of the file was reviewed before: a pull request of a
/// fork brings its own devdb.toml, and with this variable what that names runs.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct TrustArgs {
    /// Show the values and change nothing
    #[arg(long)]
    show: bool,
}

/// Take back what `devdb trust` has allowed
///
/// A tunnel that is up stays up; `devdb tunnel down`, before this, ends it.
#[derive(Debug, clap::Args)]
pub(crate) struct UntrustArgs {}

pub(crate) fn run(args: &TrustArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let (claim, store) = (context.claim()?, context.trust_store()?);
    let before = store.standing(&claim);
    if !args.show {
        store.keep(&claim)?;
        if context.described().is_ok() {
            account::forget(context)?;
        }
    }
    let is_trusted = !args.show || before.is_trusted();
    context.printer().report(&TrustReport::new(&claim, &before, is_trusted))?;
    Ok(if is_trusted { ExitStatus::Success } else { ExitStatus::No })
}

pub(crate) fn take_back(_args: &UntrustArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let (claim, store) = (context.claim()?, context.trust_store()?);
    let was_trusted = store.forget(&claim.file)?;
    if store.standing(&claim) == Standing::TrustedByVariable {
        context.printer().warning(&format!("{} still trusts it", config::TRUSTED_CONFIG));
    }
    context.printer().report(&UntrustReport { file: claim.file, was_trusted })?;
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct TrustReport {
    file: PathBuf,
    trusted: bool,
    /// Trusted files of the same project.
    same_project: Vec<PathBuf>,
    values: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    key: String,
    value: config::Value,
    /// `new` or `changed`, against what was trusted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<config::Value>,
}

impl TrustReport {
    fn new(claim: &Claim, standing: &Standing, trusted: bool) -> Self {
        let same_project = match standing {
            Standing::New { others } => others.clone(),
            _ => Vec::new(),
        };
        Self { file: claim.file.clone(), trusted, same_project, values: rows(claim, standing) }
    }
}

fn rows(claim: &Claim, standing: &Standing) -> Vec<Row> {
    let Standing::Changed { before } = standing else {
        let row = |claimed: &ClaimedValue| Row {
            key: claimed.key.clone(),
            value: claimed.value.clone(),
            change: None,
            before: None,
        };
        return claim.values.iter().map(row).collect();
    };
    let row = |claimed: &ClaimedValue| {
        let old = before.iter().find(|old| old.key == claimed.key);
        let change = match old {
            None => Some("new"),
            Some(old) if old == claimed => None,
            Some(_) => Some("changed"),
        };
        let old = old.filter(|old| old.value != claimed.value).map(|old| old.value.clone());
        Row { key: claimed.key.clone(), value: claimed.value.clone(), change, before: old }
    };
    claim.values.iter().map(row).collect()
}

fn shown(path: &Path) -> String {
    one_line(&path.display().to_string()).into_owned()
}

/// The values in rows; what changed is marked.
fn table(rows: &[Row], indent: usize, paint: Paint) -> String {
    let mut table = Table::new();
    for row in rows {
        let mark = match (row.change, &row.before) {
            (Some(_), Some(before)) => paint.warn(&format!("was {}", one_line(&before.to_string()))),
            (Some(change), None) => paint.warn(change),
            (None, _) => String::new(),
        };
        table.row([one_line(&row.key).into_owned(), one_line(&row.value.to_string()).into_owned(), mark]);
    }
    table.render(indent)
}

impl Report for TrustReport {
    fn text(&self, paint: Paint) -> String {
        let standing = if self.trusted { "trusted" } else { "not trusted" };
        let mut text = format!("{} {standing}\n{}", paint.strong(&shown(&self.file)), table(&self.values, 2, paint));
        for file in &self.same_project {
            text.push_str(&format!("{} has the same project, and with it the same tunnel and bastion\n", shown(file)));
        }
        text
    }
}

#[derive(Serialize)]
struct UntrustReport {
    file: PathBuf,
    was_trusted: bool,
}

impl Report for UntrustReport {
    fn text(&self, paint: Paint) -> String {
        let file = paint.strong(&shown(&self.file));
        if self.was_trusted { format!("{file} is trusted no more\n") } else { format!("{file} was not trusted\n") }
    }
}
