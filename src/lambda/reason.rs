//! What went wrong, in one line for whoever looks at a failed deployment. The messages of a server stay; its `DETAIL`
//! does not, because that quotes rows.

use crate::migrate::{FailedMigration, MigrateError, PlanError};
use crate::system::{CloudError, DatabaseError, TlsError};
use std::error::Error;

/// An error with its causes, each said once.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        next = cause.source();
    }
    said
}

fn with_hint(said: String, hint: Option<&str>) -> String {
    hint.map_or_else(|| said.clone(), |hint| format!("{said}; {hint}"))
}

pub(super) fn of_cloud(error: &CloudError) -> String {
    with_hint(
        chain(error),
        match error {
            CloudError::Denied { .. } => Some("allow it in the policy of the function's role"),
            CloudError::Unreachable { .. } => {
                Some("in a VPC the function needs a NAT gateway or an interface endpoint for Secrets Manager")
            }
            CloudError::NotFound { .. } => Some("check SecretArn and the region"),
            _ => None,
        },
    )
}

pub(super) fn of_database(error: &DatabaseError) -> String {
    with_hint(
        chain(error),
        match error {
            DatabaseError::UnknownHost { .. } => Some("check Host: it is the cluster's writer endpoint"),
            DatabaseError::TimedOut { .. } | DatabaseError::Unreachable { .. } => Some(
                "the function has to stand in the cluster's VPC, and the cluster's security group has to let its security group in",
            ),
            DatabaseError::Tls(TlsError::UnknownIssuer { .. } | TlsError::WrongName { .. }) => {
                Some("Host has to be the endpoint's own name, and DEVDB_CA_FILE the authority of its certificate")
            }
            DatabaseError::Login { .. } => Some("check the secret, or for Iam that the user has rds_iam"),
            DatabaseError::Server(server) if server.code == "57P03" => Some("deploy again when it takes connections"),
            _ => None,
        },
    )
}

pub(super) fn of_run(error: &MigrateError) -> String {
    match error {
        MigrateError::Plan(plan) => with_hint(
            plan.to_string(),
            match plan {
                PlanError::Missing { .. } | PlanError::OutOfOrder { .. } | PlanError::BadTimestamp { .. } => {
                    Some("nothing was changed; `devdb migrate repair` on a laptop shows how to put it right")
                }
                PlanError::Unknown { .. } | PlanError::NoDown { .. } => Some("nothing was changed"),
            },
        ),
        MigrateError::Source(error) => chain(error),
        MigrateError::Database(error) => of_database(error),
        MigrateError::LockBusy { holder, .. } => match holder {
            Some(holder) => {
                let name = if holder.application_name.is_empty() {
                    "a session without a name"
                } else {
                    &holder.application_name
                };
                format!("{error}; {name} has it (user {}, {}, since {})", holder.user, holder.state, holder.since)
            }
            None => error.to_string(),
        },
        MigrateError::Failed(failed) => {
            let FailedMigration { location, remains, error, .. } = failed.as_ref();
            format!("{location}: {}; {remains}", server(error))
        }
        MigrateError::CommitFailed { remains, error } => format!("the commit failed: {}; {remains}", server(error)),
        MigrateError::LostBeforeCommit { remains, .. } => format!("the connection to the database was lost; {remains}"),
        MigrateError::OutcomeUnknown { .. } | MigrateError::LedgerChanged => {
            format!("{error}; deploy again: it begins by looking at the ledger")
        }
    }
}

/// `42P01 relation "x" does not exist`
fn server(error: &DatabaseError) -> String {
    match error {
        DatabaseError::Server(server) => format!("{} {}", server.code, server.message),
        other => chain(other),
    }
}
