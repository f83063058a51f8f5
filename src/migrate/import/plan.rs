use super::files::{NewFile, Standing};
use super::report::{ImportedFile, Outcome};
use super::sources::SourceFile;
use super::written::Half;
use crate::migrate::{Direction, Layout, Script, ScriptError};
use std::path::Path;

/// What may be done where something is in the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Leave {
    /// Replace files that have another content.
    pub(super) force: bool,
    /// Write drafts for what cannot be imported.
    pub(super) drafts: bool,
}

/// What becomes of one file, and the text to write if there is one.
pub(super) fn decide(
    source: &SourceFile,
    half: Half,
    standing: &Standing,
    leave: Leave,
) -> (ImportedFile, Option<NewFile>) {
    let Half { file, text } = half;
    let there = standing.get(&file);
    let by_hand = standing.contains_key(&format!("{}.sql", source.name));
    let (outcome, looks, reason, new) = match text {
        _ if by_hand => (Outcome::Kept, Vec::new(), None, None),
        Ok(text) => {
            let outcome = match there {
                None => Outcome::New,
                Some(there) if there == text.sql.as_bytes() => Outcome::Unchanged,
                Some(_) if leave.force => Outcome::Replaced,
                // An earlier recording is as good as this one.
                Some(_) if text.varies => Outcome::Kept,
                Some(_) => Outcome::Conflict,
            };
            let is_written = matches!(outcome, Outcome::New | Outcome::Replaced);
            (outcome, text.looks, None, is_written.then_some(text.sql))
        }
        Err((refusal, draft)) => {
            let outcome = match there {
                Some(there) if is_draft(there) => Outcome::Draft,
                Some(_) => Outcome::Kept,
                None if leave.drafts => Outcome::Draft,
                None => Outcome::Refused,
            };
            let new = (outcome == Outcome::Draft && there.is_none()).then_some(draft);
            let reason = (outcome != Outcome::Kept).then(|| refusal.to_string());
            (outcome, Vec::new(), reason, new)
        }
    };
    let new = new.map(|text| NewFile { file: file.clone(), text, replaces: outcome == Outcome::Replaced });
    let told =
        ImportedFile { migration: source.name.clone(), source: source.file.clone(), file, outcome, looks, reason };
    (told, new)
}

/// Nobody has written a statement into it.
fn is_draft(bytes: &[u8]) -> bool {
    matches!(Script::parse(Path::new("draft"), bytes, Layout::Whole, Direction::Up), Err(ScriptError::Empty { .. }))
}

#[cfg(test)]
mod tests {
    use super::super::refusal::Refusal;
    use super::super::written::Text;
    use super::*;
    use crate::migrate::MigrationName;

    fn outcome(text: Result<&str, ()>, there: &[(&str, &str)], leave: Leave) -> (Outcome, Option<String>) {
        let source = SourceFile { name: MigrationName::parse("a").unwrap(), file: "a.ts".to_owned() };
        let text = match text {
            Ok(sql) => Ok(Text { sql: sql.to_owned(), looks: Vec::new(), varies: sql.contains("random") }),
            Err(()) => Err((Refusal::Introspects, "-- draft\n".to_owned())),
        };
        let there: Standing = there.iter().map(|(file, text)| ((*file).to_owned(), text.as_bytes().to_vec())).collect();
        let (told, new) = decide(&source, Half { file: "a.up.sql".to_owned(), text }, &there, leave);
        (told.outcome, new.map(|new| new.text))
    }

    #[test]
    fn a_file_with_another_content_is_replaced_only_by_force() {
        let force = Leave { force: true, drafts: false };
        let other = [("a.up.sql", "select 2;")];
        assert_eq!(outcome(Ok("select 1;"), &[], Leave::default()), (Outcome::New, Some("select 1;".to_owned())));
        assert_eq!(outcome(Ok("select 2;"), &other, force), (Outcome::Unchanged, None));
        assert_eq!(outcome(Ok("select 1;"), &other, Leave::default()), (Outcome::Conflict, None));
        assert_eq!(outcome(Ok("select 1;"), &other, force), (Outcome::Replaced, Some("select 1;".to_owned())));
        assert_eq!(outcome(Ok("random 1"), &[("a.up.sql", "random 2")], Leave::default()), (Outcome::Kept, None));
        assert_eq!(outcome(Ok("select 1;"), &[("a.sql", "")], force), (Outcome::Kept, None));
    }

    #[test]
    fn what_a_person_wrote_for_a_refused_migration_is_never_touched() {
        let all = Leave { force: true, drafts: true };
        assert_eq!(outcome(Err(()), &[], Leave::default()), (Outcome::Refused, None));
        assert_eq!(outcome(Err(()), &[], all), (Outcome::Draft, Some("-- draft\n".to_owned())));
        assert_eq!(outcome(Err(()), &[("a.up.sql", "-- half\n")], all), (Outcome::Draft, None));
        assert_eq!(outcome(Err(()), &[("a.up.sql", "select 2;")], all), (Outcome::Kept, None));
    }
}
