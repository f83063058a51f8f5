use super::facts::Origin;
use crate::migrate::{Direction, LedgerRow, MigrationName, Script, kysely_time};

/// One step of a repair; they are made in this order, in one transaction.
#[derive(Debug, Clone)]
pub enum RepairStep {
    /// The row goes, after its down SQL ran.
    Undo { name: MigrationName, script: Script, origin: Origin },
    /// The file has another name than the row.
    Rename { from: MigrationName, to: MigrationName },
    /// The up SQL runs, and its row comes behind the row of `after`.
    Run { name: MigrationName, script: Script, after: Option<MigrationName> },
    /// The row's time becomes that of its place.
    Restamp { name: MigrationName, was: String, not_before: Option<i64>, after: Option<MigrationName> },
}

impl RepairStep {
    pub fn name(&self) -> &MigrationName {
        match self {
            Self::Undo { name, .. } | Self::Run { name, .. } | Self::Restamp { name, .. } => name,
            Self::Rename { to, .. } => to,
        }
    }

    pub fn word(&self) -> &'static str {
        match self {
            Self::Undo { .. } => "undo",
            Self::Rename { .. } => "rename",
            Self::Run { .. } => "run",
            Self::Restamp { .. } => "re-stamp",
        }
    }

    /// The direction of what runs; none where only the ledger changes.
    pub fn direction(&self) -> Option<Direction> {
        match self {
            Self::Undo { .. } => Some(Direction::Down),
            Self::Run { .. } => Some(Direction::Up),
            Self::Rename { .. } | Self::Restamp { .. } => None,
        }
    }

    pub fn script(&self) -> Option<&Script> {
        match self {
            Self::Undo { script, .. } | Self::Run { script, .. } => Some(script),
            Self::Rename { .. } | Self::Restamp { .. } => None,
        }
    }
}

/// The ledger after these steps, if they were made at `now` (milliseconds since the epoch).
pub fn rows_after(rows: &[LedgerRow], steps: &[RepairStep], now: i64) -> Vec<LedgerRow> {
    let mut rows = rows.to_vec();
    for step in steps {
        let behind = |rows: &[LedgerRow], after: &Option<MigrationName>| {
            let after = after.as_ref()?;
            rows.iter().find(|row| row.name == after.as_str()).and_then(LedgerRow::time).map(|time| time + 1)
        };
        match step {
            RepairStep::Undo { name, .. } => rows.retain(|row| row.name != name.as_str()),
            RepairStep::Rename { from, to } => {
                rows.iter_mut().filter(|row| row.name == from.as_str()).for_each(|row| row.name = to.to_string());
            }
            RepairStep::Run { name, after, .. } => {
                let time = behind(&rows, after).unwrap_or(now).max(now);
                rows.push(LedgerRow::new(name.as_str(), &kysely_time(time)));
            }
            RepairStep::Restamp { name, not_before, after, .. } => {
                let time = behind(&rows, after).max(*not_before).unwrap_or(0);
                let row = rows.iter_mut().find(|row| row.name == name.as_str());
                row.into_iter().for_each(|row| row.timestamp = kysely_time(time));
            }
        }
    }
    rows
}
