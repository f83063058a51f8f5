use super::Diagram;
use super::diagram::DiagramRow;

/// The diagram in Mermaid's language (Mermaid documentation, "Entity Relationship Diagrams").
pub fn mermaid(diagram: &Diagram) -> String {
    let mut text = "erDiagram\n".to_owned();
    for table in &diagram.tables {
        text.push_str(&format!("    {} {{\n", entity(&table.name)));
        for row in &table.rows {
            text.push_str(&format!("        {}\n", attribute(row)));
        }
        text.push_str("    }\n");
    }
    for link in &diagram.links {
        let (Some(from), Some(to)) = (diagram.tables.get(link.from), diagram.tables.get(link.to)) else { continue };
        let many = if link.is_unique { "|o" } else { "}o" };
        let one = if link.is_optional { "o|" } else { "||" };
        let columns = link.columns.join(", ").replace('"', "'");
        text.push_str(&format!("    {} {many}--{one} {} : \"{columns}\"\n", entity(&from.name), entity(&to.name)));
    }
    text
}

/// A quoted entity's name may hold anything but quotes, percent signs and backslashes.
fn entity(name: &str) -> String {
    let is_word = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if is_word {
        return name.to_owned();
    }
    let plain: String = name.replace(['"', '%', '\\'], "");
    format!("\"{plain}\"")
}

/// Types and names of attributes are words; what is none is shown in the comment as it is.
fn attribute(row: &DiagramRow) -> String {
    let name = word(&row.name, "-");
    let column_type = word(&row.column_type, "-()[]");
    let keys = [(row.is_primary, "PK"), (row.is_foreign, "FK"), (row.is_unique, "UK")];
    let keys: Vec<&str> = keys.iter().filter(|(is, _)| *is).map(|(_, key)| *key).collect();
    let mut text = format!("{column_type} {name}");
    if !keys.is_empty() {
        text.push_str(&format!(" {}", keys.join(", ")));
    }
    if name != row.name {
        text.push_str(&format!(" \"{}\"", row.name.replace('"', "'")));
    }
    text
}

fn word(text: &str, others: &str) -> String {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || others.contains(letter);
    let word: String = text.chars().map(|letter| if is_allowed(letter) { letter } else { '_' }).collect();
    if word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') { word } else { format!("_{word}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::diagram::tests::diagram;

    #[test]
    fn tables_and_keys_are_written_as_mermaid_reads_them() {
        let mut drawing = diagram(2, &[(0, 1)]);
        drawing.tables[0].name = "billing.\"Odd\"".to_owned();
        drawing.tables[0].rows[0] = DiagramRow {
            name: "Mixed Case".into(),
            column_type: "numeric(12,2)".into(),
            is_primary: true,
            is_foreign: true,
            ..DiagramRow::default()
        };
        assert_eq!(
            mermaid(&drawing),
            "erDiagram\n    \"billing.Odd\" {\n        numeric(12_2) Mixed_Case PK, FK \"Mixed Case\"\n        integer other\n    }\n    \
             t1 {\n        integer id\n        integer other\n    }\n    \"billing.Odd\" }o--o| t1 : \"other\"\n"
        );
    }
}
