use crate::schema::{Listed, Listing, RelationKind};
use crate::system::one_line;
use crate::ui::{Paint, Report, Table, grouped};
use std::collections::BTreeMap;

/// How wide a line may become.
pub(super) const WIDTH: usize = 100;

impl Report for Listing {
    fn text(&self, paint: Paint) -> String {
        let mut table = Table::new();
        let mut partitions: BTreeMap<&str, usize> = BTreeMap::new();
        for relation in &self.relations {
            if let Some(parent) = &relation.partition_of {
                *partitions.entry(parent).or_default() += 1;
            }
        }
        let is_shown = |relation: &&Listed| relation.partition_of.is_none() && relation.kind != RelationKind::Sequence;
        let shown: Vec<&Listed> = self.relations.iter().filter(is_shown).collect();
        let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
        let names = longest(&mut shown.iter().map(|relation| relation.shown.chars().count()));
        let [rows, sizes] = [
            longest(&mut shown.iter().map(|relation| estimate(relation.rows).chars().count())),
            longest(&mut shown.iter().map(|relation| size(relation.size_bytes).chars().count())),
        ];
        for relation in &shown {
            let parts = partitions.get(relation.shown.as_str()).copied();
            let kind = match (relation.kind, parts) {
                (RelationKind::Table, _) => String::new(),
                (RelationKind::PartitionedTable, Some(1)) => "1 partition".to_owned(),
                (RelationKind::PartitionedTable, count) => format!("{} partitions", count.unwrap_or(0)),
                (kind, _) => kind.word().to_owned(),
            };
            let room = WIDTH.saturating_sub(names + rows + sizes + 28);
            table.row([
                relation.shown.clone(),
                format!("{:>rows$}", estimate(relation.rows)),
                format!("{:>sizes$}", size(relation.size_bytes)),
                kind,
                paint.faint(&first_line(relation.comment.as_deref().unwrap_or_default(), room)),
            ]);
        }
        let mut text = table.render(2);
        let sequences =
            self.relations.iter().filter(|found| found.kind == RelationKind::Sequence && found.owned_by.is_none());
        let names: Vec<String> = sequences.map(|found| found.shown.clone()).collect();
        text.push_str(&named(paint, "sequences", &names));
        let names: Vec<String> =
            self.types.iter().map(|found| format!("{} ({})", found.shown, found.kind.word())).collect();
        text.push_str(&named(paint, "types", &names));
        text.push_str(&self.summary(&shown));
        text
    }
}

impl Listing {
    fn summary(&self, shown: &[&Listed]) -> String {
        let tables = |kind: RelationKind| matches!(kind, RelationKind::Table | RelationKind::PartitionedTable);
        let all = |is: &dyn Fn(RelationKind) -> bool| shown.iter().filter(|relation| is(relation.kind)).count();
        let bytes: i64 = shown.iter().filter_map(|relation| relation.size_bytes).sum();
        let mut parts = vec![plural(all(&tables), "table")];
        for kind in [RelationKind::View, RelationKind::MaterializedView, RelationKind::ForeignTable] {
            match all(&|found| found == kind) {
                0 => {}
                count => parts.push(plural(count, kind.word())),
            }
        }
        parts.push(size(Some(bytes)));
        format!("{}\n", parts.join(", "))
    }
}

pub(super) fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// A title and names behind it, wrapped.
fn named(paint: Paint, title: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let mut lines = vec![String::new()];
    for (at, name) in names.iter().map(|name| one_line(name)).enumerate() {
        let name = if at + 1 < names.len() { format!("{name}, ") } else { name.into_owned() };
        let is_full = |line: &String| line.chars().count() + name.trim_end().chars().count() > WIDTH - 13;
        if lines.last().is_some_and(|line| !line.is_empty() && is_full(line)) {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(&name);
        }
    }
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    format!("  {}  {}\n", paint.strong(&format!("{title:<9}")), lines.join(&format!("\n{:13}", "")))
}

/// `~1,204`; `0` is exact, and what nobody counted is `?`.
pub(super) fn rows_text(rows: Option<i64>) -> String {
    match rows {
        None => "?".to_owned(),
        Some(0) => "0".to_owned(),
        Some(rows) => format!("~{}", grouped(rows.unsigned_abs())),
    }
}

fn estimate(rows: Option<i64>) -> String {
    rows.map_or_else(String::new, |rows| rows_text(Some(rows)))
}

/// Binary units, as `pg_size_pretty` counts.
pub(super) fn size(bytes: Option<i64>) -> String {
    let Some(bytes) = bytes else { return String::new() };
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if value < 1000.0 || unit == "TB" {
            let digits = usize::from(value < 10.0 && unit != "B" && value.fract() > 0.0);
            return format!("{value:.digits$} {unit}");
        }
        value /= 1024.0;
    }
    String::new()
}

/// A comment as one line that fits.
pub(super) fn first_line(text: &str, room: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    let is_whole = line.chars().count() <= room && !text.contains('\n');
    if is_whole {
        line.to_owned()
    } else {
        format!("{}…", line.chars().take(room.saturating_sub(1)).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_say_when_they_are_estimates() {
        assert_eq!([0, 999, 10_240, 1_500_000].map(|bytes| size(Some(bytes))), ["0 B", "999 B", "10 kB", "1.4 MB"]);
        assert_eq!([Some(0), Some(12), Some(1_234_567), None].map(rows_text), ["0", "~12", "~1,234,567", "?"]);
        assert_eq!(first_line("a long comment", 7), "a long…");
        assert_eq!(first_line("two\nlines", 20), "two…");
    }
}
