use std::fmt;

/// Why a text is no name of an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectNameError {
    #[error("`{text}` is not a name")]
    Malformed { text: String },
    #[error("`{text}` has more parts than schema and name")]
    TooManyParts { text: String },
}

/// A name as SQL has it: perhaps with a schema, folded to lower case where it is not quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    pub schema: Option<String>,
    pub name: String,
    /// As it was typed.
    pub typed: String,
}

impl ObjectName {
    /// Reads a name as the server reads one (PostgreSQL documentation, 4.1.1 "Identifiers and Key Words").
    ///
    /// Unlike in SQL, a part without quotes may hold any letter but a quote or a dot: the shell has taken quotes off
    /// already, and `order-lines` can mean nothing else.
    ///
    /// # Errors
    /// [`ObjectNameError`] for an open quote, an empty part, and a third part.
    pub fn parse(text: &str) -> Result<Self, ObjectNameError> {
        let malformed = || ObjectNameError::Malformed { text: text.to_owned() };
        let mut parts = Vec::new();
        let mut rest = text.trim();
        loop {
            let (part, behind) = part(rest).ok_or_else(malformed)?;
            parts.push(part);
            match behind.strip_prefix('.') {
                Some(next) => rest = next,
                None if behind.is_empty() => break,
                None => return Err(malformed()),
            }
        }
        let typed = text.to_owned();
        match <[String; 1]>::try_from(parts) {
            Ok([name]) => Ok(Self { schema: None, name, typed }),
            Err(parts) => match <[String; 2]>::try_from(parts) {
                Ok([schema, name]) => Ok(Self { schema: Some(schema), name, typed }),
                Err(_) => Err(ObjectNameError::TooManyParts { text: text.to_owned() }),
            },
        }
    }

    /// As SQL that means the same wherever it stands.
    pub fn quoted(&self) -> String {
        let quoted = |part: &str| format!("\"{}\"", part.replace('"', "\"\""));
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(&self.name)),
            None => quoted(&self.name),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

/// The first part of a name, and what stands behind it.
fn part(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(['.', '"']).unwrap_or(text.len());
        let (name, behind) = text.split_at(end);
        // Only ASCII is folded for sure; other letters depend on the server's locale.
        return (!name.is_empty()).then(|| (name.to_ascii_lowercase(), behind));
    };
    let mut from = 0;
    loop {
        let end = from + quoted[from..].find('"')?;
        if quoted[end + 1..].starts_with('"') {
            from = end + 2;
            continue;
        }
        return (end > 0).then(|| (quoted[..end].replace("\"\"", "\""), &quoted[end + 1..]));
    }
}

/// The names that are most like the one that was typed, best first, at most three; none that is not like it at all.
pub fn nearest(typed: &str, names: &[String]) -> Vec<String> {
    let plain = |name: &str| name.replace('"', "").to_lowercase();
    let wanted = plain(typed);
    let wanted_name = wanted.rsplit('.').next().unwrap_or_default().to_owned();
    let limit = (wanted_name.chars().count() / 3).max(1);
    let mut found: Vec<(usize, &String)> = names
        .iter()
        .filter_map(|name| {
            let whole = plain(name);
            let last = whole.rsplit('.').next().unwrap_or_default();
            let distance = distance(&wanted_name, last).min(distance(&wanted, &whole));
            let is_part = wanted_name.chars().count() >= 3 && last.contains(&wanted_name);
            (distance <= limit || is_part).then_some((distance, name))
        })
        .collect();
    found.sort();
    found.into_iter().take(3).map(|(_, name)| name.clone()).collect()
}

/// Levenshtein's distance, in characters.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (at, against) in other.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = (diagonal + usize::from(letter != *against)).min(above + 1).min(row[at] + 1);
            diagonal = above;
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> (Option<String>, String) {
        let name = ObjectName::parse(text).unwrap();
        (name.schema, name.name)
    }

    #[test]
    fn names_are_folded_unless_they_are_quoted() {
        assert_eq!(parts("Orders"), (None, "orders".to_owned()));
        assert_eq!(parts("\"Orders\""), (None, "Orders".to_owned()));
        assert_eq!(parts("Billing.\"a.b\"\"c\""), (Some("billing".to_owned()), "a.b\"c".to_owned()));
        assert_eq!(parts("order lines"), (None, "order lines".to_owned()));
        for wrong in ["", "a.", ".a", "\"a", "\"\"", "\"a\"b", "a\"b\""] {
            assert!(ObjectName::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(ObjectName::parse("a.b.c").unwrap_err().to_string(), "`a.b.c` has more parts than schema and name");
    }

    #[test]
    fn names_that_are_like_it_are_offered() {
        let names = ["orders", "\"Orders\"", "order_lines", "billing.invoices", "users"].map(str::to_owned);
        assert_eq!(nearest("ordres", &names), ["\"Orders\"", "orders"]);
        assert_eq!(nearest("line", &names), ["order_lines"]);
        assert_eq!(nearest("invoice", &names), ["billing.invoices"]);
        assert_eq!(nearest("zebra", &names), [""; 0]);
    }

    proptest! {
        #[test]
        fn what_was_quoted_is_read_back(schema in "[^\0]+", name in "[^\0]+") {
            let name = ObjectName { schema: Some(schema), name, typed: String::new() };
            let read = ObjectName::parse(&name.quoted()).unwrap();
            prop_assert_eq!((read.schema, read.name), (name.schema, name.name));
        }
    }
}
