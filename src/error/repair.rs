//! The notice board's part for repairs of the ledger.

use super::{CommandError, ErrorKind};
use crate::migrate::repair::{Loss, NO_FILE_NO_DOWN, Problem, Reason, Refused, RepairError};
use crate::system::shell_word;

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
    shown.causes.extend(reasons.iter().map(Reason::to_string));
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

fn advice(reason: &Reason) -> Option<String> {
    match reason {
        Reason::Unknown { name } => {
            let name = shell_word(name);
            Some(format!("if nothing of {name} is in the schema any more: `devdb migrate mark --unapplied {name}`"))
        }
        Reason::CannotUndo { name, why } if why == NO_FILE_NO_DOWN => {
            Some(format!("undo it by hand, then `devdb migrate mark --unapplied {}`", shell_word(name)))
        }
        Reason::CannotUndo { name, .. } => {
            Some(format!("write the down part of {}, then run this again", shell_word(name)))
        }
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

/// Files, rows or strategy are not what was reviewed.
pub(crate) fn another_plan(reviewed: &str, now: &str) -> CommandError {
    let message = format!("the plan is {now} by now, not {reviewed}; nothing was changed");
    CommandError::new(ErrorKind::Refused, message)
        .hint("`devdb migrate repair --dry-run` shows it; files, ledger or strategy are not what they were")
}

/// What would be lost, and how to agree.
pub(crate) fn data_loss(lost: &[Loss], command: &str) -> CommandError {
    let mut shown = CommandError::new(ErrorKind::Refused, "this would take away data; nothing was changed");
    shown.causes.extend(lost.iter().map(Loss::to_string));
    shown.hint(format!("`{command} --accept-data-loss` if nobody needs it any more"))
}
