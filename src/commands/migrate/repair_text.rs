use crate::migrate::repair::{Origin, Problem, RepairReport, StepReport, Strategy};
use crate::ui::{Paint, Report, Table};

impl RepairReport {
    /// What is wrong, what will be done, what comes of it.
    pub(super) fn plan_text(&self, paint: Paint) -> String {
        let Some(plan) = &self.plan else { return "nothing to repair\n".to_owned() };
        let mut table = Table::new();
        for (at, problem) in plan.problems.iter().enumerate() {
            let label = if at == 0 { "problem" } else { "" };
            table.row([label.to_owned(), paint.warn(class(problem)), problem.to_string()]);
        }
        table.row(["strategy".to_owned(), paint.strong(plan.strategy.word()), about(plan.strategy).to_owned()]);
        for step in &plan.steps {
            let [sign, name, detail] = shown(step);
            table.row([sign, name, detail]);
        }
        let names = plan.after.iter().rev().take(3).map(ToString::to_string).collect::<Vec<_>>();
        let mut newest: Vec<String> = names.into_iter().rev().collect();
        if plan.after.len() > newest.len() {
            newest.insert(0, "…".to_owned());
        }
        table.row(["result".to_owned(), "in order".to_owned(), newest.join(", ")]);
        table.row([
            "cost".to_owned(),
            "1 transaction".to_owned(),
            "the rows of now are kept in devdb_repair_log".to_owned(),
        ]);
        table.render(0)
    }

    /// The SQL of the migrations concerned, with what happens to the ledger as comments.
    pub(super) fn sql(&self) -> String {
        let Some(plan) = &self.plan else { return "-- nothing to repair\n".to_owned() };
        let mut text = format!("-- {}: {}\nbegin;\n", plan.strategy.word(), about(plan.strategy));
        for step in &plan.steps {
            match step {
                StepReport::Undo { name, sql, .. } => text.push_str(&format!("-- undo {name}\n{sql};\n")),
                StepReport::Run { name, sql, .. } => text.push_str(&format!("-- run {name}\n{sql};\n")),
                StepReport::Rename { from, to } => text.push_str(&format!("-- the ledger's row {from} becomes {to}\n")),
                StepReport::Restamp { name, was } => {
                    text.push_str(&format!("-- the ledger's row {name} gets a new time instead of {was}\n"))
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
        Strategy::SlideIn => "what is pending has nothing in common with what ran too early",
        Strategy::RollBack => "what is not on this branch is undone",
        Strategy::Replay => "what ran too early is undone, and runs again in its turn",
    }
}

fn shown(step: &StepReport) -> [String; 3] {
    let size = |statements: usize, objects: &[String]| {
        let count = if statements == 1 { "1 statement".to_owned() } else { format!("{statements} statements") };
        if objects.is_empty() { count } else { format!("{count}: {}", objects.join(", ")) }
    };
    match step {
        StepReport::Undo { name, origin, statements, objects, .. } => {
            ["  - undo".to_owned(), name.to_string(), format!("{}{}", size(*statements, objects), from(origin))]
        }
        StepReport::Run { name, statements, objects, .. } => {
            ["  + run".to_owned(), name.to_string(), size(*statements, objects)]
        }
        StepReport::Rename { from, to } => ["  ~ rename".to_owned(), from.to_string(), format!("to {to}")],
        StepReport::Restamp { name, was } => ["  ~ re-stamp".to_owned(), name.to_string(), format!("was {was}")],
    }
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
