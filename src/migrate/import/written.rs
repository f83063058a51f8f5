use super::literal::{BindError, bind};
use super::marks::{Mark, Marks};
use super::recording::{Executed, Parameter, Recorded, Recording, Run};
use super::refusal::Refusal;
use super::sources::SourceFile;
use crate::migrate::sql::{TokenKind, Unterminated, tokens};
use crate::migrate::{Direction, Layout, Script};
use std::path::Path;

/// One direction of a migration, as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Half {
    /// The file's name.
    pub(super) file: String,
    pub(super) text: Result<Text, (Refusal, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) sql: String,
    /// What a person should look at before believing it.
    pub(super) looks: Vec<String>,
    /// The next recording would have another text.
    pub(super) varies: bool,
}

/// The files of one migration, or why there can be none and the draft of what a person would write instead. Nothing for what
/// Kysely takes for no migration.
pub(super) fn halves(source: &SourceFile, recording: &Recording) -> Vec<Half> {
    match recording {
        Recording::Ignored => Vec::new(),
        Recording::Unreadable(message) => {
            let refusal = Refusal::Unreadable(one_line(message));
            let draft = draft(source, Direction::Up, &refusal, &[]);
            vec![Half { file: file(source, Direction::Up), text: Err((refusal, draft)) }]
        }
        Recording::Recorded(recorded) => {
            let half = |(direction, runs): (Direction, &[Run; 2])| {
                let text = written(source, recorded, runs, direction);
                let draft = |refusal: Refusal| {
                    let text = draft(source, direction, &refusal, &runs[0].statements);
                    (refusal, text)
                };
                Half { file: file(source, direction), text: text.map_err(draft) }
            };
            let down = recorded.down.as_ref().map(|runs| (Direction::Down, runs));
            [(Direction::Up, &recorded.up)].into_iter().chain(down).map(half).collect()
        }
    }
}

fn file(source: &SourceFile, direction: Direction) -> String {
    format!("{}.{}.sql", source.name, direction.word())
}

fn written(
    source: &SourceFile,
    recorded: &Recorded,
    [first, second]: &[Run; 2],
    direction: Direction,
) -> Result<Text, Refusal> {
    refuse_what_sql_cannot_do(first)?;
    refuse_what_sql_cannot_do(second)?;
    let mut marks = differences(first, second)?;
    let mut statements = Vec::new();
    for (number, statement) in (1..).zip(&first.statements) {
        let bound = bind(statement).map_err(|error| unbound(error, statement))?;
        let Some(sql) = ended(&bound.sql).map_err(|error| unbound(BindError::Unterminated(error), statement))? else {
            continue;
        };
        let has_date = |parameter: &Parameter| matches!(parameter, Parameter::Text { date: true, .. });
        marks.mark(Mark::Repeats, number, bound.repeats);
        marks.mark(Mark::ByHand, number, statement.raw && !statement.parameters.is_empty());
        marks.mark(Mark::LineEnds, number, sql.contains('\r'));
        marks.mark(Mark::Date, number, statement.parameters.iter().any(has_date));
        statements.push(if statement.raw { sql } else { unfolded(&sql) });
    }
    let varies = marks.varies();
    let mut looks = marks.told();
    looks.extend(habits(recorded, first, direction));
    if statements.is_empty() {
        looks.push("it executes nothing".to_owned());
        statements.push("select 1;".to_owned());
    }
    let mut text = format!("-- From {} (devdb migrate import).\n", source.file);
    if !recorded.transaction {
        text.push_str("-- devdb: transaction=false\n");
    }
    for look in &looks {
        text.push_str(&format!("-- Look: {look}.\n"));
    }
    text.push_str(&format!("\n{}\n", statements.join("\n\n")));
    let name = file(source, direction);
    match Script::parse(Path::new(&name), text.as_bytes(), Layout::Whole, direction) {
        Ok(_) => Ok(Text { sql: text, looks, varies }),
        Err(error) => Err(Refusal::NoScript(error.to_string())),
    }
}

fn refuse_what_sql_cannot_do(run: &Run) -> Result<(), Refusal> {
    let statement = |at: usize| run.statements.get(at).map(|statement| excerpt(&statement.sql)).unwrap_or_default();
    // What it read comes first: that there were no rows is why it throws.
    match run {
        Run { read: Some(at), .. } => Err(Refusal::Reads(statement(*at))),
        Run { introspected: true, .. } => Err(Refusal::Introspects),
        Run { error: Some(message), .. } => Err(Refusal::Throws(one_line(message))),
        Run { rolled_back: true, .. } => Err(Refusal::RollsBack),
        _ => Ok(()),
    }
}

/// What the second recording, a year later, has otherwise.
fn differences(first: &Run, second: &Run) -> Result<Marks, Refusal> {
    let mut marks = Marks::default();
    for at in 0..first.statements.len().max(second.statements.len()) {
        let (Some(one), Some(other)) = (first.statements.get(at), second.statements.get(at)) else {
            let shown = |run: &Run| run.statements.get(at).map_or("nothing".to_owned(), |found| excerpt(&found.sql));
            return Err(Refusal::Differs { number: at + 1, first: shown(first), second: shown(second) });
        };
        marks.mark(Mark::TextChanges, at + 1, one.sql != other.sql);
        marks.mark(Mark::ValueChanges, at + 1, one.sql == other.sql && one.parameters != other.parameters);
    }
    Ok(marks)
}

fn habits(recorded: &Recorded, run: &Run, direction: Direction) -> Vec<String> {
    let mut looks = Vec::new();
    if run.transactions > 0 {
        looks.push("it ran a transaction of its own; here all of it is in devdb's".to_owned());
    }
    if run.not_awaited {
        looks.push("it was over before its last statement was executed: an `await` is missing".to_owned());
    }
    if direction == Direction::Up && recorded.catches {
        looks.push("its source has a `catch`; this SQL stops at the first error".to_owned());
    }
    if direction == Direction::Up && !recorded.variables.is_empty() {
        let names: Vec<String> = recorded.variables.iter().map(|name| one_line(name)).collect();
        looks.push(format!("it read the environment ({}) of the import", names.join(", ")));
    }
    looks
}

fn unbound(error: BindError, statement: &Executed) -> Refusal {
    let statement = excerpt(&statement.sql);
    match error {
        BindError::Nul => Refusal::Nul(statement.replace('\0', "␀")),
        BindError::NoValue(number) => Refusal::NoValue { number, statement },
        BindError::Unterminated(found) => Refusal::NoScript(format!("this {} never ends: {statement}", found.what)),
    }
}

/// The statement with its semicolon; nothing if it only consists of comments.
fn ended(sql: &str) -> Result<Option<String>, Unterminated> {
    let tokens = tokens(sql)?;
    let is_comment = |kind: TokenKind| kind == TokenKind::Comment;
    let Some(last) = tokens.iter().rfind(|token| !is_comment(token.kind)) else { return Ok(None) };
    let text = sql.trim();
    Ok(Some(if last.kind == TokenKind::Symbol(';') {
        text.to_owned()
    } else if tokens.last().is_some_and(|token| is_comment(token.kind)) {
        format!("{text}\n;")
    } else {
        format!("{text};")
    }))
}

/// A long `create table` with a line for each column: white space between tokens means nothing.
fn unfolded(sql: &str) -> String {
    const LONG: usize = 100;
    let Ok(tokens) = tokens(sql) else { return sql.to_owned() };
    if sql.len() <= LONG || sql.contains('\n') || !sql.starts_with("create ") || !sql.contains(" table ") {
        return sql.to_owned();
    }
    let (mut depth, mut lists, mut copied, mut text) = (0_usize, 0, 0, String::new());
    for token in tokens {
        let (before, after) = match token.kind {
            TokenKind::Symbol('(') => {
                depth += 1;
                lists += usize::from(depth == 1);
                ("", if depth == 1 && lists == 1 { "\n  " } else { "" })
            }
            TokenKind::Symbol(')') => {
                depth = depth.saturating_sub(1);
                (if depth == 0 && lists == 1 { "\n" } else { "" }, "")
            }
            TokenKind::Symbol(',') if depth == 1 && lists == 1 => ("", "\n  "),
            _ => ("", ""),
        };
        let gap = &sql[copied..token.range.start];
        text.push_str(if text.ends_with("\n  ") { "" } else { gap });
        text.push_str(before);
        text.push_str(&sql[token.range.clone()]);
        text.push_str(after);
        copied = token.range.end;
    }
    text
}

/// What devdb will not run: a file without a statement stops whoever comes to it.
fn draft(source: &SourceFile, direction: Direction, refusal: &Refusal, statements: &[Executed]) -> String {
    let mut text = format!(
        "-- From {} (devdb migrate import).\n-- Draft: {}.\n-- Write here in SQL what its {}() does; as long as no statement stands here, devdb runs nothing of it.\n",
        source.file,
        one_line(&refusal.to_string()),
        direction.word()
    );
    if !statements.is_empty() {
        text.push_str("--\n-- What it executed on a database without rows:\n");
    }
    for line in statements.iter().flat_map(|statement| statement.sql.split(['\n', '\r'])) {
        // `devdb:` would be a directive.
        text.push_str(format!("--   {line}").trim_end());
        text.push('\n');
    }
    text
}

fn one_line(text: &str) -> String {
    text.split(|letter: char| letter.is_control()).collect::<Vec<_>>().join(" ")
}

fn excerpt(sql: &str) -> String {
    const WIDTH: usize = 160;
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
#[path = "written_tests.rs"]
mod tests;
