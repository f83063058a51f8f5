//! The notice board's part for repairs of the ledger.

use super::{CommandError, ErrorKind};
use crate::migrate::repair::{Conflict, Loss, NO_FILE_NO_DOWN, Problem, Reason, Refused, RepairError, Strategy};

impl From<RepairError> for CommandError {
    fn from(error: RepairError) -> Self {
        match error {
            RepairError::Migrate(error) => error.into(),
            RepairError::Refused(refused) => explain(&refused),
        }
    }
}

fn explain(Refused { problems, reasons }: &Refused) -> CommandError {
    let mut shown = CommandError::new(ErrorKind::Refused, "the ledger cannot be repaired safely; nothing was changed");
    shown.causes.extend(problems.iter().map(Problem::to_string));
    shown.causes.extend(reasons.iter().map(told));
    let mut hints: Vec<String> = reasons.iter().filter_map(advice).collect();
    hints.dedup();
    if hints.is_empty() {
        let is_gap = problems.iter().any(|problem| matches!(problem, Problem::Gap { .. }));
        hints.push(if is_gap {
            "if what is pending ran nowhere yet, rename its file so that it sorts last, and run `devdb migrate to latest`".to_owned()
        } else {
            "`devdb migrate status` shows every row; check out the branch that has what is missing, and undo it there".to_owned()
        });
    }
    hints.into_iter().fold(shown, CommandError::hint)
}

fn told(reason: &Reason) -> String {
    match reason {
        Reason::Conflict { first, second, conflict: Conflict::Shared(objects) } => {
            format!("the order of {first} and {second} matters: both have to do with {}", objects.join(", "))
        }
        Reason::Conflict { first, second, conflict: Conflict::Opaque(statement) } => {
            format!("whether the order of {first} and {second} matters cannot be told: {statement}")
        }
        Reason::CannotUndo { name, why } | Reason::CannotRun { name, why } => format!("{name} {why}"),
        Reason::NotMine { name } => {
            format!("{name} would have to be undone, and the journal does not say that you ran it")
        }
        Reason::Protected { name } => {
            format!("{name} would have to be undone, which never happens in a protected environment")
        }
        Reason::Unknown { name } => {
            format!("{name} is known nowhere: there is no file, no journal and no branch that has it")
        }
        Reason::NotTransactional { name, statement } => {
            format!("{name} cannot be part of one transaction: {statement}")
        }
        Reason::OtherStrategy { wanted, needed } => format!("{} is not enough: {}", wanted.word(), takes(*needed)),
    }
}

fn takes(strategy: Strategy) -> String {
    match strategy {
        Strategy::ReStamp => "only the ledger has to change".to_owned(),
        Strategy::SlideIn => "something pending has to run".to_owned(),
        Strategy::RollBack | Strategy::Replay => "something has to be undone".to_owned(),
    }
}

fn advice(reason: &Reason) -> Option<String> {
    match reason {
        Reason::Unknown { name } => {
            Some(format!("if nothing of {name} is in the schema any more: `devdb migrate mark --unapplied {name}`"))
        }
        Reason::CannotUndo { name, why } if why == NO_FILE_NO_DOWN => {
            Some(format!("undo it by hand, then `devdb migrate mark --unapplied {name}`"))
        }
        Reason::CannotUndo { name, .. } => Some(format!("write the down part of {name}, then run this again")),
        Reason::NotMine { .. } => {
            Some("ask whoever ran it (the table devdb_migration_journal knows); you are known there by your alias, or DEVDB_ALIAS".to_owned())
        }
        Reason::OtherStrategy { needed, .. } => Some(format!("`devdb migrate repair --strategy {}`", needed.word())),
        Reason::Conflict { .. }
        | Reason::CannotRun { .. }
        | Reason::Protected { .. }
        | Reason::NotTransactional { .. } => None,
    }
}

/// What would be lost, and how to agree.
pub(crate) fn data_loss(lost: &[Loss], command: &str) -> CommandError {
    let mut shown = CommandError::new(ErrorKind::Refused, "this would take away data; nothing was changed");
    shown.causes.extend(lost.iter().map(Loss::to_string));
    shown.hint(format!("`{command} --accept-data-loss` if nobody needs it any more"))
}
