use super::ledger::{identifier, literal};
use crate::migrate::{JournalEntry, JournalState, JournalWish, LedgerNames, LedgerRow, MigrationName, RepairRecord};

/// When the migration that is under way began, in seconds since the epoch; kept by the session, so that it is taken
/// back with a transaction that is rolled back.
const BEGAN: &str = "devdb.began";

/// The SQL of what devdb keeps beside the ledger: `devdb_migration_journal` and `devdb_repair_log`.
///
/// Neither has a sequence, so that a dump that leaves the tables out leaves everything out.
pub(super) struct SideTables {
    ledger: String,
    application_name: String,
}

impl SideTables {
    pub(super) fn new(names: &LedgerNames, application_name: &str) -> Self {
        Self { ledger: names.table.clone(), application_name: application_name.to_owned() }
    }

    fn table(schema: &str) -> String {
        format!("{}.devdb_migration_journal", identifier(schema))
    }

    /// Columns behind the schema's name `n.nspname`: whether the journal can be written.
    pub(super) fn state_columns() -> &'static str {
        "case when j.oid is null then case when has_schema_privilege(n.oid, 'create') then 'absent' else 'unavailable' end \
         when has_table_privilege(j.oid, 'select') and has_table_privilege(j.oid, 'insert') and has_table_privilege(j.oid, 'update') \
         then 'present' else 'unavailable' end"
    }

    pub(super) fn state(word: &str) -> JournalState {
        match word {
            "present" => JournalState::Present,
            "absent" => JournalState::Absent,
            _ => JournalState::Unavailable,
        }
    }

    /// Begins the clock, unless a migration is under way already.
    pub(super) fn begin_clock() -> String {
        format!(
            "select set_config('{BEGAN}', coalesce(nullif(current_setting('{BEGAN}', true), ''), \
             extract(epoch from clock_timestamp())::text), false)"
        )
    }

    fn next_clock() -> String {
        format!("select set_config('{BEGAN}', extract(epoch from clock_timestamp())::text, false)")
    }

    pub(super) fn create(schema: &str) -> String {
        format!(
            "create table if not exists {} (ledger text not null, name text not null, executed_at text not null, \
             hash text not null, up_sql text not null, down_sql text, application_name text not null, \
             database_user text not null default session_user, duration_ms bigint, git_commit text, undone_at timestamptz, \
             primary key (ledger, name))",
            Self::table(schema)
        )
    }

    /// Behind the ledger's own row, whose time it takes.
    pub(super) fn insert(&self, schema: &str, ledger: &str, name: &MigrationName, entry: &JournalEntry) -> String {
        let optional = |text: &Option<String>| text.as_deref().map_or_else(|| "null".to_owned(), literal);
        let columns = "hash, up_sql, down_sql, application_name, database_user, duration_ms, git_commit, undone_at";
        format!(
            "insert into {journal} as j (ledger, name, executed_at, {columns}) \
             select {own}, l.\"name\", l.\"timestamp\", {hash}, {up}, {down}, {who}, session_user, \
             round((extract(epoch from clock_timestamp()) - nullif(current_setting('{BEGAN}', true), '')::numeric) * 1000)::bigint, \
             {commit}, null from {ledger} l where l.\"name\" = {name} \
             on conflict (ledger, name) do update set executed_at = excluded.executed_at, ({columns}) = row(excluded.hash, \
             excluded.up_sql, excluded.down_sql, excluded.application_name, excluded.database_user, excluded.duration_ms, \
             excluded.git_commit, excluded.undone_at); {next}",
            journal = Self::table(schema),
            own = literal(&self.ledger),
            hash = literal(&entry.hash),
            up = literal(&entry.up_sql),
            down = optional(&entry.down_sql),
            who = literal(&self.application_name),
            commit = optional(&entry.git_commit),
            name = literal(name.as_str()),
            next = Self::next_clock(),
        )
    }

    pub(super) fn mark_undone(&self, schema: &str, name: &MigrationName) -> String {
        format!(
            "update {} set undone_at = clock_timestamp() where ledger = {} and name = {}",
            Self::table(schema),
            literal(&self.ledger),
            literal(name.as_str())
        )
    }

    /// The journal's row follows the ledger's to its new time.
    pub(super) fn follow_time(&self, schema: &str, ledger: &str, name: &MigrationName, was: &str) -> String {
        format!(
            "update {} j set executed_at = l.\"timestamp\" from {ledger} l where j.ledger = {} and j.name = {name} \
             and l.\"name\" = {name} and j.executed_at = {}",
            Self::table(schema),
            literal(&self.ledger),
            literal(was),
            name = literal(name.as_str()),
        )
    }

    pub(super) fn follow_name(&self, schema: &str, from: &MigrationName, to: &MigrationName) -> String {
        let (journal, own) = (Self::table(schema), literal(&self.ledger));
        let (from, to) = (literal(from.as_str()), literal(to.as_str()));
        format!(
            "delete from {journal} where ledger = {own} and name = {to}; \
             update {journal} set name = {to} where ledger = {own} and name = {from}"
        )
    }

    pub(super) fn rows(&self, schema: &str, wish: JournalWish) -> String {
        let (sql, limit) = match wish {
            JournalWish::Everything => ("up_sql, down_sql", String::new()),
            // Times in Kysely's spelling sort as texts.
            JournalWish::Newest(count) => {
                ("'', null", format!(" and undone_at is null order by executed_at collate \"C\" desc limit {count}"))
            }
        };
        format!(
            "select name, executed_at, hash, application_name, git_commit, undone_at is not null, {sql} from {} where ledger = {}{limit}",
            Self::table(schema),
            literal(&self.ledger)
        )
    }

    /// Nobody else may change the ledger from here on, and it must still be what the plan was made of.
    ///
    /// Kysely before 0.29.3 holds no lock where its transactions are disabled, and a hand in psql never does.
    pub(super) fn guard(ledger: &str, rows: &[LedgerRow]) -> String {
        let mut rows: Vec<[&str; 2]> = rows.iter().map(|row| [row.name.as_str(), row.timestamp.as_str()]).collect();
        rows.sort_unstable();
        format!(
            "lock table {ledger} in share row exclusive mode; select set_config('devdb.expected', {expected}, true); \
             do $devdb$ begin if (select coalesce(jsonb_agg(jsonb_build_array(\"name\", \"timestamp\") order by \"name\" collate \"C\"), '[]') \
             from {ledger}) is distinct from current_setting('devdb.expected')::jsonb then \
             raise exception 'the ledger has changed since the plan was made' using errcode = '55000'; end if; end $devdb$",
            expected = literal(&serde_json::json!(rows).to_string()),
        )
    }

    /// The rows that are about to change, so that they can be put back by hand.
    pub(super) fn log(&self, schema: &str, ledger: &str, record: &RepairRecord) -> String {
        let log = format!("{}.devdb_repair_log", identifier(schema));
        format!(
            "create table if not exists {log} (at timestamptz not null default clock_timestamp(), ledger text not null, \
             application_name text not null, database_user text not null default session_user, git_commit text, \
             verb text not null, rows_before jsonb not null, plan jsonb not null); \
             insert into {log} (ledger, application_name, git_commit, verb, rows_before, plan) select {own}, {who}, {commit}, {verb}, \
             coalesce(jsonb_agg(jsonb_build_object('name', l.\"name\", 'timestamp', l.\"timestamp\")), '[]'), {plan}::jsonb from {ledger} l",
            own = literal(&self.ledger),
            who = literal(&self.application_name),
            commit = record.git_commit.as_deref().map_or_else(|| "null".to_owned(), literal),
            verb = literal(record.verb),
            plan = literal(&record.plan),
        )
    }

    /// Kysely's rule, asked of the rows as they are now: these and no others, and none before the one in front of it.
    pub(super) fn verify(ledger: &str, order: &[MigrationName]) -> String {
        format!(
            "select set_config('devdb.expected', {expected}, true); \
             do $devdb$ begin if (select count(*) from {ledger}) <> jsonb_array_length(current_setting('devdb.expected')::jsonb) \
             or exists (select from (select l.\"timestamp\"::timestamptz as at, \
             lag(l.\"timestamp\"::timestamptz) over (order by e.place) as before \
             from jsonb_array_elements_text(current_setting('devdb.expected')::jsonb) with ordinality e (name, place) \
             left join {ledger} l on l.\"name\" = e.name) o where o.at is null or o.before > o.at) then \
             raise exception 'the repaired ledger would not be in order' using errcode = '55000'; end if; end $devdb$",
            expected = literal(&serde_json::json!(order).to_string()),
        )
    }
}
