//! The SQL of types. Names are shown with their schemas.

use super::dump::comment;
use super::quote::{identifier, literal};
use super::{DomainCheck, TypeKind, UserType};

/// Announces a type, so that functions can speak of it.
pub(super) fn shell(name: &str) -> String {
    format!("CREATE TYPE {name};\n")
}

pub(super) fn user_type(found: &UserType, is_inline: impl Fn(&DomainCheck) -> bool) -> String {
    let name = &found.shown;
    let checks: Vec<&DomainCheck> = found.constraints.iter().filter(|check| is_inline(check)).collect();
    let mut text = match found.kind {
        TypeKind::Enum => {
            let labels: Vec<String> = found.labels.iter().map(|label| format!("    {}", literal(label))).collect();
            format!("CREATE TYPE {name} AS ENUM (\n{}\n);\n", labels.join(",\n"))
        }
        TypeKind::Composite => {
            let collate = |collation: &Option<String>| {
                collation.as_ref().map_or_else(String::new, |name| format!(" COLLATE {name}"))
            };
            let fields = found.attributes.iter();
            let fields: Vec<String> = fields
                .map(|field| {
                    format!("    {} {}{}", identifier(&field.name), field.attribute_type, collate(&field.collation))
                })
                .collect();
            format!("CREATE TYPE {name} AS (\n{}\n);\n", fields.join(",\n"))
        }
        TypeKind::Domain => domain(found, &checks),
        TypeKind::Range => range(found),
    };
    let kind = if found.kind == TypeKind::Domain { "DOMAIN" } else { "TYPE" };
    text.push_str(&comment(&format!("{kind} {name}"), &found.comment));
    for field in &found.attributes {
        text.push_str(&comment(&format!("COLUMN {name}.{}", identifier(&field.name)), &field.comment));
    }
    for check in checks {
        text.push_str(&check_comment(name, check));
    }
    text
}

fn domain(found: &UserType, checks: &[&DomainCheck]) -> String {
    let mut text = format!("CREATE DOMAIN {} AS {}", found.shown, found.base.as_deref().unwrap_or_default());
    if let Some(collation) = &found.collation {
        text.push_str(&format!(" COLLATE {collation}"));
    }
    if found.not_null {
        text.push_str(" NOT NULL");
    }
    if let Some(default) = &found.default {
        text.push_str(&format!(" DEFAULT {default}"));
    }
    for check in checks {
        text.push_str(&format!("\n    CONSTRAINT {} {}", identifier(&check.name), check.definition));
    }
    text + ";\n"
}

/// A check that stands alone: one that old values need not pass, or that needs the domain itself.
pub(super) fn domain_check(found: &UserType, check: &DomainCheck) -> String {
    let (name, own) = (&found.shown, identifier(&check.name));
    let added = format!("ALTER DOMAIN {name}\n    ADD CONSTRAINT {own} {};\n", check.definition);
    added + &check_comment(name, check)
}

fn check_comment(domain: &str, check: &DomainCheck) -> String {
    comment(&format!("CONSTRAINT {} ON DOMAIN {domain}", identifier(&check.name)), &check.comment)
}

fn range(found: &UserType) -> String {
    let Some(range) = &found.range else { return String::new() };
    let mut parts = vec![format!("    subtype = {}", range.subtype)];
    let named = [
        ("multirange_type_name", &range.multirange),
        ("subtype_opclass", &range.opclass),
        ("collation", &range.collation),
        ("canonical", &range.canonical),
        ("subtype_diff", &range.difference),
    ];
    parts.extend(named.iter().filter_map(|(word, value)| Some(format!("    {word} = {}", value.as_ref()?))));
    format!("CREATE TYPE {} AS RANGE (\n{}\n);\n", found.shown, parts.join(",\n"))
}
