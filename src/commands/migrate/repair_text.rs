use crate::migrate::MigrationName;
use crate::migrate::repair::{
    Apart, LockReport, Origin, Problem, RepairPlanReport, RepairReport, StepReport, Story, Strategy, Work,
};
use crate::system::one_line;
use crate::ui::{Paint, Report, Table, grouped};
use std::collections::BTreeSet;

impl RepairReport {
    /// What is wrong, what will be done, what comes of it.
    pub(super) fn plan_text(&self, paint: Paint) -> String {
        let Some(plan) = &self.plan else { return "nothing to repair\n".to_owned() };
        let mut table = Table::new();
        for (at, problem) in plan.problems.iter().enumerate() {
            let label = if at == 0 { "problem" } else { "" };
            table.row([label.to_owned(), paint.warn(class(problem)), problem.to_string()]);
        }
        for story in &plan.migrations {
            let label = if story.executed_at.is_some() { "  executed" } else { "  pending" };
            table.row([label.to_owned(), story.name.clone(), told(story)]);
        }
        let others: Vec<&str> = plan.alternatives.iter().map(|way| way.word()).collect();
        let others =
            if others.is_empty() { String::new() } else { format!(" ({} is possible too)", others.join(", ")) };
        let what = format!("{}{others}", about(plan.strategy));
        table.row(["strategy".to_owned(), paint.strong(plan.strategy.word()), what]);
        if let Some(because) = because(plan) {
            table.row(["  because".to_owned(), String::new(), because]);
        }
        for step in &plan.steps {
            table.row(shown(step));
        }
        table.row(["result".to_owned(), "in order".to_owned(), result(plan)]);
        let kept = format!("{} round trips; the rows of now are kept in devdb_repair_log", plan.round_trips);
        table.row(["cost".to_owned(), format!("{} transaction", plan.transactions), kept]);
        table.row(["plan".to_owned(), paint.faint(&plan.id), String::new()]);
        table.render(0)
    }

    /// The SQL of the migrations concerned, with what happens to the ledger as comments.
    pub(super) fn sql(&self) -> String {
        let Some(plan) = &self.plan else { return "-- nothing to repair\n".to_owned() };
        let mut text = format!("-- {}: {}\nbegin;\n", plan.strategy.word(), about(plan.strategy));
        for step in &plan.steps {
            match step {
                StepReport::Undo { name, work, .. } => text.push_str(&format!("-- undo {name}\n{};\n", work.sql)),
                StepReport::Run { name, work } => text.push_str(&format!("-- run {name}\n{};\n", work.sql)),
                StepReport::Rename { from, to } => text.push_str(&format!("-- the ledger's row {from} becomes {to}\n")),
                StepReport::Restamp { name, was, .. } => {
                    text.push_str(&format!("-- the ledger's row {name} gets a new time instead of {}\n", one_line(was)))
                }
            }
        }
        text.push_str("commit;\n");
        text
    }
}

fn class(problem: &Problem) -> &'static str {
    match problem {
        Problem::Gap { .. } => "gap",
        Problem::PartialDown { .. } => "partial down",
        Problem::Reorder { .. } => "order",
        Problem::Tie { .. } => "tie",
        Problem::Skew { .. } => "clock",
        Problem::UnreadableTime { .. } => "time",
        Problem::Missing { .. } => "missing",
    }
}

fn about(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::ReStamp => "only the ledger changes",
        Strategy::SlideIn => "what is pending runs on top, and takes its place in the ledger",
        Strategy::RollBack => "what is not on this branch is undone",
        Strategy::Replay => "what ran too early is undone, and runs again in its turn",
    }
}

/// Who ran it and when, who wrote it.
fn told(story: &Story) -> String {
    let ran = story.executed_ms_ago.map(|ago| match &story.executed_by {
        Some(alias) if story.is_mine => format!("{} by you ({alias})", since(ago)),
        Some(alias) => format!("{} by {alias}", since(ago)),
        None => since(ago),
    });
    let wrote = story.commit.as_ref().zip(story.author.as_ref()).map(|(commit, author)| {
        let place = story.branch.as_ref().map(|branch| format!(" on {branch}")).unwrap_or_default();
        format!("written by {author} in {}{place}", commit.get(..7).unwrap_or(commit))
    });
    ran.into_iter().chain(wrote).collect::<Vec<_>>().join("; ")
}

fn since(milliseconds: i64) -> String {
    let minutes = milliseconds / 60_000;
    let (count, unit) = match (minutes / 1440, minutes / 60, minutes) {
        (0, 0, 0) => return "just now".to_owned(),
        (0, 0, minutes) => (minutes, "minute"),
        (0, hours, _) => (hours, "hour"),
        (days, ..) => (days, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

/// The proof, or what stands against one.
fn because(plan: &RepairPlanReport) -> Option<String> {
    let set = |names: &BTreeSet<String>| format!("{{{}}}", names.iter().cloned().collect::<Vec<_>>().join(", "));
    let proof = plan
        .apart
        .as_ref()
        .map(|Apart { moved, passed }| format!("{} and {} have nothing in common", set(moved), set(passed)));
    proof.or_else(|| plan.instead.first().cloned())
}

fn result(plan: &RepairPlanReport) -> String {
    let names = plan.after.iter().rev().take(3).map(ToString::to_string).collect::<Vec<_>>();
    let mut newest: Vec<String> = names.into_iter().rev().collect();
    if plan.after.len() > newest.len() {
        newest.insert(0, "…".to_owned());
    }
    let rest =
        if plan.pending == 0 { "the files".to_owned() } else { format!("the files but {} pending", plan.pending) };
    format!("{} = {rest}, as strict Kysely wants them", newest.join(", "))
}

fn shown(step: &StepReport) -> [String; 3] {
    let cells = |sign: &str, name: &MigrationName, detail: String| [format!("  {sign}"), name.to_string(), detail];
    match step {
        StepReport::Undo { name, origin, work } => cells("- undo", name, format!("{}{}", size(work), from(origin))),
        StepReport::Run { name, work } => cells("+ run", name, size(work)),
        StepReport::Rename { from, to } => cells("~ rename", from, format!("to {to}")),
        StepReport::Restamp { name, was, becomes, or_later } => {
            cells("~ re-stamp", name, format!("{was} -> {becomes}{}", if *or_later { " or later" } else { "" }))
        }
    }
}

/// How many statements, what they touch, and whom they stop meanwhile.
fn size(work: &Work) -> String {
    let count = if work.statements == 1 { "1 statement".to_owned() } else { format!("{} statements", work.statements) };
    let objects = if work.objects.is_empty() { String::new() } else { format!(": {}", work.objects.join(", ")) };
    let locks = work.locks.iter().map(|LockReport { lock, relation, rows }| {
        let rows = rows.map(|rows| format!(" (about {} rows)", grouped(rows))).unwrap_or_default();
        format!("; {lock} lock on {relation}{rows}")
    });
    format!("{count}{objects}{}", locks.collect::<String>())
}

fn from(origin: &Origin) -> String {
    match origin {
        Origin::File => String::new(),
        Origin::Journal => " (down part from the journal)".to_owned(),
        Origin::Commit { commit, author, branch } => {
            let place = branch.as_deref().or(commit.get(..7)).unwrap_or(commit);
            format!(" (down part from {place}, by {author})")
        }
    }
}

impl Report for RepairReport {
    fn text(&self, paint: Paint) -> String {
        if !self.applied && self.run.error.is_none() {
            return self.plan_text(paint);
        }
        let end = if self.run.error.is_none() { "the ledger is in order\n" } else { "" };
        format!("{}{end}", self.run.rows(paint))
    }
}
