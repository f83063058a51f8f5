use super::recording::{Executed, Parameter};
use crate::migrate::sql::{TokenKind, Unterminated, tokens};
use std::fmt::Write;

/// A value as a constant that the server takes as it takes the driver's parameter.
///
/// Both come without a type (an "unknown-type literal"; PostgreSQL documentation, chapter 10 "Type Conversion"), so numbers stand
/// in quotes too. What holds a backslash or a carriage return is written with escapes (4.1.2.2): then neither
/// `standard_conforming_strings` nor an editor that changes line ends can change it. Bytes name their type, because the driver
/// sends them in binary form: in a column of another type they fail instead of arriving as text.
pub fn literal(parameter: &Parameter) -> String {
    match parameter {
        Parameter::Null => "null".to_owned(),
        Parameter::Bytes { hex } => format!("E'\\\\x{hex}'::bytea"),
        Parameter::Text { text, .. } if text.contains(['\\', '\r']) => {
            let escaped = text.replace('\\', "\\\\").replace('\'', "''").replace('\r', "\\r");
            format!("E'{escaped}'")
        }
        Parameter::Text { text, .. } => format!("'{}'", text.replace('\'', "''")),
    }
}

/// Why values cannot be put in the place of a statement's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BindError {
    Unterminated(Unterminated),
    /// `$n` without a value.
    NoValue(usize),
    /// No text of PostgreSQL's can hold it (8.3 "Character Types").
    Nul,
}

/// A statement with its values written into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) sql: String,
    /// A parameter stands in it twice: as a parameter it has one type, as two constants it may have two.
    pub(super) repeats: bool,
}

pub(super) fn bind(statement: &Executed) -> Result<Bound, BindError> {
    let Executed { sql, parameters, .. } = statement;
    let has_nul = |parameter: &Parameter| matches!(parameter, Parameter::Text { text, .. } if text.contains('\0'));
    if sql.contains('\0') || parameters.iter().any(has_nul) {
        return Err(BindError::Nul);
    }
    let mut bound = String::with_capacity(sql.len());
    let mut seen = vec![false; parameters.len()];
    let (mut copied, mut repeats) = (0, false);
    for token in tokens(sql).map_err(BindError::Unterminated)? {
        if token.kind != TokenKind::Symbol('$') {
            continue;
        }
        let digits = &sql[token.range.end..];
        let digits = &digits[..digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len())];
        let Ok(number) = digits.parse::<usize>() else { continue };
        let at = number.wrapping_sub(1);
        let parameter = parameters.get(at).ok_or(BindError::NoValue(number))?;
        repeats |= std::mem::replace(&mut seen[at], true);
        let _ = write!(bound, "{}{}", &sql[copied..token.range.start], literal(parameter));
        copied = token.range.end + digits.len();
    }
    bound.push_str(&sql[copied..]);
    Ok(Bound { sql: bound, repeats })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Parameter {
        Parameter::Text { text: text.to_owned(), date: false }
    }

    fn bound(sql: &str, parameters: &[Parameter]) -> Result<Bound, BindError> {
        bind(&Executed { sql: sql.to_owned(), parameters: parameters.to_vec(), raw: true })
    }

    #[test]
    fn values_take_the_place_of_parameters_and_of_nothing_else() {
        let sql = "select '$1', \"$1\", $$ $1 $$, a$1, $2, $1 -- $1";
        let found = bound(sql, &[text("o'k"), Parameter::Null]).unwrap();
        assert_eq!(found.sql, "select '$1', \"$1\", $$ $1 $$, a$1, null, 'o''k' -- $1");
        assert!(!found.repeats);
        assert!(bound("select $1, $1", &[text("1")]).unwrap().repeats);
        let ten: Vec<Parameter> = (1..=12).map(|number| text(&number.to_string())).collect();
        assert_eq!(bound("values ($12,$1)", &ten).unwrap().sql, "values ('12','1')");
    }

    #[test]
    fn a_value_that_looks_like_a_parameter_is_not_taken_for_one() {
        assert_eq!(bound("values ($1, $2)", &[text("$2"), text("x")]).unwrap().sql, "values ('$2', 'x')");
    }

    #[test]
    fn escapes_depend_on_no_setting_and_no_line_end() {
        assert_eq!(literal(&text("a\\'b\r\nc")), "E'a\\\\''b\\r\nc'");
        assert_eq!(literal(&Parameter::Bytes { hex: "00ff".to_owned() }), "E'\\\\x00ff'::bytea");
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        assert_eq!(bound("select $1", &[text("a\0")]), Err(BindError::Nul));
        assert_eq!(bound("select $2", &[text("a")]), Err(BindError::NoValue(2)));
        assert!(matches!(bound("select 'a", &[]), Err(BindError::Unterminated(_))));
    }
}
