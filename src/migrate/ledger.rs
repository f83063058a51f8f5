use serde::Serialize;

/// What helps where a ledger stands in another schema than the one that names lead to.
pub const LEDGER_ELSEWHERE: &str = "if it is this project's, write its schema as `schema` below [migrations] in devdb.toml, or \
     into DEVDB_MIGRATIONS_SCHEMA; if it is another project's, name a schema for a ledger of your own there: it is made \
     where it is not there";

/// Where the history is kept; the defaults are Kysely's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerNames {
    /// Kysely's `migrationTableSchema`; none means the first schema of the search path.
    pub schema: Option<String>,
    pub table: String,
    pub lock_table: String,
}

impl Default for LedgerNames {
    fn default() -> Self {
        Self { schema: None, table: "kysely_migration".to_owned(), lock_table: "kysely_migration_lock".to_owned() }
    }
}

/// One executed migration, as the table has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerRow {
    pub name: String,
    /// A text in Kysely's table; usually `2026-01-02T03:04:05.678Z`.
    pub timestamp: String,
}

impl LedgerRow {
    pub fn new(name: &str, timestamp: &str) -> Self {
        Self { name: name.to_owned(), timestamp: timestamp.to_owned() }
    }

    /// Milliseconds since the epoch, as JavaScript's `new Date(text)` would read the usual spellings.
    pub fn time(&self) -> Option<i64> {
        let text = self.timestamp.trim();
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Some(time.as_millisecond());
        }
        // A date alone is UTC in JavaScript; a time without offset is local there, which the database cannot know.
        let time = text.parse::<jiff::civil::DateTime>().ok()?;
        Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
    }
}

/// Milliseconds since the epoch in Kysely's spelling, JavaScript's `toISOString()`: always 24 characters.
pub fn kysely_time(milliseconds: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_as_kysely_does() {
        let text = "2026-01-02T03:04:05.678Z";
        assert_eq!(kysely_time(LedgerRow::new("a", text).time().unwrap()), text);
        assert_eq!(kysely_time(0), "1970-01-01T00:00:00.000Z");
        let time = |text: &str| LedgerRow::new("a", text).time();
        assert_eq!(time("2026-01-02 03:04:05.678+00"), time(text));
        assert_eq!(time("1970-01-01"), Some(0));
        assert_eq!(time("soon"), None);
    }
}
