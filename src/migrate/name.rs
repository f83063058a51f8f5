use serde::Serialize;
use std::cmp::Ordering;
use std::fmt;

/// A migration's name in the ledger: the file's name without `.sql`, `.up.sql` or `.down.sql`.
///
/// It compares as Kysely sorts files: JavaScript's `Array.sort()`, by UTF-16 code units
/// (Kysely 0.29.9, `migrator.js`, `#resolveMigrations`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct MigrationName(String);

/// Why a text cannot be the name of a migration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("the name is empty")]
    Empty,
    /// The words that `migrate to` understands.
    #[error("`{0}` is a target of `migrate to`, so it cannot be a name")]
    Reserved(String),
    /// The ledger's column is `varchar(255)`.
    #[error("the name has {0} characters; the ledger holds 255")]
    TooLong(usize),
    #[error("the name contains a control character")]
    Control,
    /// It begins with something else than a number, so nothing can be counted on.
    #[error("no timestamp sorts after {newest}")]
    TooLate { newest: String },
}

impl MigrationName {
    /// # Errors
    /// [`NameError`] for a text that the ledger or the command line could not carry.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let length = text.chars().count();
        match text {
            "" => Err(NameError::Empty),
            "latest" | "none" => Err(NameError::Reserved(text.to_owned())),
            _ if length > 255 => Err(NameError::TooLong(length)),
            _ if text.chars().any(char::is_control) => Err(NameError::Control),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// The time and the words; where that does not sort behind the newest, the newest's number plus one.
    ///
    /// # Errors
    /// [`NameError`], as [`Self::parse`] or because nothing sorts behind the newest.
    pub fn following(words: &str, newest: Option<&Self>, now: jiff::Timestamp) -> Result<Self, NameError> {
        let by_time = Self::parse(&format!("{}_{words}", now.strftime("%Y%m%d%H%M%S")))?;
        let Some(newest) = newest.filter(|newest| **newest >= by_time) else { return Ok(by_time) };
        let too_late = || NameError::TooLate { newest: newest.to_string() };
        let digits: String = newest.as_str().chars().take_while(char::is_ascii_digit).collect();
        let next = digits.parse::<u128>().ok().and_then(|number| number.checked_add(1)).ok_or_else(too_late)?;
        let name = Self::parse(&format!("{next:0width$}_{words}", width = digits.len()))?;
        if name > *newest { Ok(name) } else { Err(too_late()) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MigrationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for MigrationName {
    /// UTF-8 sorts as UTF-16 does, but for U+E000 to U+FFFF (which begin with 0xEE and 0xEF): in UTF-16 these come behind
    /// everything that takes two units.
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |byte: u8| if matches!(byte, 0xee | 0xef) { byte + 0x10 } else { byte };
        self.0.bytes().map(place).cmp(other.0.bytes().map(place))
    }
}

impl PartialOrd for MigrationName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// ICU's root collation of the ASCII letters that are neither digit nor letter, in order (CLDR root, `allkeys`).
const PUNCTUATION: &str = "_-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$";

/// How JavaScript's `localeCompare` orders two names: what Kysely breaks ties of equal row times with.
///
/// Exact for ASCII; other letters follow all ASCII in code point order. Only ledgers written by several runs within
/// one millisecond ever ask.
pub(super) fn locale_compare(left: &str, right: &str) -> Ordering {
    let primary = |letter: char| -> u32 {
        match letter {
            ' ' => 0,
            '0'..='9' => 100 + letter as u32,
            'a'..='z' | 'A'..='Z' => 200 + letter.to_ascii_lowercase() as u32,
            _ => match PUNCTUATION.chars().position(|known| known == letter) {
                Some(position) => 1 + u32::try_from(position).unwrap_or(0),
                None => 1000 + letter as u32,
            },
        }
    };
    // Lower case precedes upper case, but only where the letters are otherwise equal (tertiary level).
    left.chars().map(primary).cmp(right.chars().map(primary)).then_with(|| {
        left.chars().map(|letter| letter.is_uppercase()).cmp(right.chars().map(|letter| letter.is_uppercase()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> MigrationName {
        MigrationName::parse(text).unwrap()
    }

    proptest! {
        #[test]
        fn any_two_names_compare_as_their_utf16(left in "[a0_\u{7f}-\u{10ffff}]{1,4}", right in "[a0_\u{7f}-\u{10ffff}]{1,4}") {
            let wanted = left.encode_utf16().cmp(right.encode_utf16());
            prop_assert_eq!(MigrationName(left).cmp(&MigrationName(right)), wanted);
        }
    }

    #[test]
    fn a_new_name_sorts_after_every_other() {
        let following = |newest: Option<&str>| {
            let now = "2026-01-02T03:04:05Z".parse().unwrap();
            MigrationName::following("a", newest.map(name).as_ref(), now).map(|name| name.to_string())
        };
        assert_eq!(following(None).unwrap(), "20260102030405_a");
        assert_eq!(following(Some("20250102030405_z")).unwrap(), "20260102030405_a");
        assert_eq!(following(Some("20260102030405_z")).unwrap(), "20260102030406_a");
        assert_eq!(following(Some("20990101000000_z")).unwrap(), "20990101000001_a");
        assert_eq!(following(Some("zebra")), Err(NameError::TooLate { newest: "zebra".to_owned() }));
    }

    #[test]
    fn names_sort_by_utf16_code_units() {
        assert!(name("B_x") < name("a_x"));
        assert!(name("2024-01-01-x") < name("2024-01-01_x"));
        // U+10000 is two surrogates (0xD800 …) in UTF-16, which stand before U+E000.
        assert!(name("\u{10000}") < name("\u{e000}"));
    }

    #[test]
    fn ties_are_broken_as_locale_compare_does() {
        assert_eq!(locale_compare("2024-01-01_x", "2024-01-01-x"), Ordering::Less);
        assert_eq!(locale_compare("a_x", "B_x"), Ordering::Less);
        assert_eq!(locale_compare("a", "A"), Ordering::Less);
        assert_eq!(locale_compare("A1", "a2"), Ordering::Less);
        assert_eq!(locale_compare("2024-01-01-create-table", "2024-01-01.2-update-table"), Ordering::Less);
    }

    #[test]
    fn what_the_ledger_or_the_command_line_cannot_carry_is_refused() {
        assert_eq!(MigrationName::parse("latest"), Err(NameError::Reserved("latest".to_owned())));
        assert_eq!(MigrationName::parse(&"x".repeat(256)), Err(NameError::TooLong(256)));
        assert!(MigrationName::parse(&"ä".repeat(255)).is_ok());
        assert_eq!(MigrationName::parse("a\nb"), Err(NameError::Control));
    }
}
