use super::side_tables::SideTables;
use crate::migrate::{After, JournalState, LEDGER_ELSEWHERE, LedgerNames, RowChange, SessionSpec, kysely_time};

/// Kysely's advisory lock (0.29.9, `postgres-adapter.js`).
const LOCK: &str = "3853314791062309107";

/// The SQL around the migrations: lock, ledger, rows.
pub(super) struct LedgerSql {
    names: LedgerNames,
    lock_timeout_ms: u128,
    side: SideTables,
}

impl LedgerSql {
    pub(super) fn new(spec: &SessionSpec) -> Self {
        Self {
            names: spec.ledger.clone(),
            lock_timeout_ms: spec.lock_timeout.as_millis(),
            side: SideTables::new(&spec.ledger, &spec.application_name),
        }
    }

    pub(super) fn side(&self) -> &SideTables {
        &self.side
    }

    /// The ledger where it was found.
    pub(super) fn ledger(&self, schema: &str) -> String {
        format!("{}.{}", identifier(schema), identifier(&self.names.table))
    }

    /// Begins a transaction in which the lock and the ledger can be looked at again after a wait.
    pub(super) fn begin(&self) -> String {
        format!("begin isolation level read committed; {};", self.settings(true))
    }

    /// What devdb sets in a session. The strings of a file mean the same on every server: that is how they are read.
    fn settings(&self, is_local: bool) -> String {
        let set = if is_local { "set local" } else { "set" };
        format!(
            "{set} lock_timeout = {}; {set} standard_conforming_strings = on; {}",
            self.lock_timeout_ms,
            Self::watch_the_client(is_local)
        )
    }

    /// Ends a migration in its session: what it deferred is checked now, and the next one, and the row, begin from the
    /// session's own settings, as if each had a session of its own.
    ///
    /// Only constraints of tables whose rows this transaction has changed can be waiting, unless the server does not
    /// count that. They go back to their own timing afterwards. `RESET ALL` would forget when the migration began.
    ///
    /// It has no letter beyond ASCII and no backslash, because a migration may have changed what those mean.
    pub(super) fn settle(&self, is_held: bool) -> String {
        format!(
            "do $devdb$ declare began text := pg_catalog.current_setting('devdb.began', true); own text; late text; begin \
             select pg_catalog.string_agg(distinct pg_catalog.format('%I.%I', n.nspname, c.conname), ', '), \
             pg_catalog.string_agg(distinct pg_catalog.format('%I.%I', n.nspname, c.conname), ', ') filter (where c.condeferred) into own, late \
             from pg_catalog.pg_trigger t join pg_catalog.pg_constraint c on c.oid = t.tgconstraint \
             join pg_catalog.pg_namespace n on n.oid = c.connamespace where t.tgdeferrable and case \
             when pg_catalog.current_setting('track_counts') = 'on' then pg_catalog.pg_stat_get_xact_tuples_inserted(t.tgrelid) \
             + pg_catalog.pg_stat_get_xact_tuples_updated(t.tgrelid) + pg_catalog.pg_stat_get_xact_tuples_deleted(t.tgrelid) > 0 \
             else true end; \
             if own is not null then execute 'set constraints ' || own || ' immediate'; end if; \
             if late is not null then execute 'set constraints ' || late || ' deferred'; end if; \
             reset session authorization; reset role; reset all; \
             perform pg_catalog.set_config('devdb.began', began, false); {} end $devdb$; {}; {}",
            Self::RENEW,
            Self::FORGET,
            self.settings(!is_held)
        )
    }

    /// What `ALTER DATABASE … SET` and `ALTER ROLE … SET` have changed since: a new session would have it. The least
    /// specific comes first (`src/backend/utils/init/postinit.c`, `process_settings`); what the client has chosen stays.
    const RENEW: &str = "for own, late in select pg_catalog.split_part(s, '=', 1), pg_catalog.substr(s, pg_catalog.strpos(s, '=') + 1) \
        from pg_catalog.pg_db_role_setting d cross join lateral pg_catalog.unnest(d.setconfig) s \
        where d.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())) \
        and d.setrole in (0, (select oid from pg_catalog.pg_roles where rolname = session_user)) \
        order by d.setrole <> 0, d.setdatabase <> 0 loop \
        if own not in ('client_encoding', 'application_name') and pg_catalog.current_setting(own, true) is distinct from late then \
        begin perform pg_catalog.set_config(own, late, false); exception when others then null; end; end if; end loop;";

    /// What a session keeps beside its settings; all but `DISCARD ALL`, which gives the lock back.
    const FORGET: &str = "close all; deallocate all; unlisten *; discard sequences; discard temp";

    /// When the client is gone, the server ends a running statement within a second (PostgreSQL 14 and later, Linux)
    /// instead of finishing the migration and then the commit that is queued behind it.
    fn watch_the_client(is_local: bool) -> String {
        format!(
            "select case when current_setting('client_connection_check_interval', true) is not null \
             and version() like '%linux%' then set_config('client_connection_check_interval', '1000', {is_local}) end"
        )
    }

    /// One row: whether the lock was had. With `create`, missing tables are made behind it, as Kysely makes them
    /// (0.29.9, `migrator.js`, `#ensureMigrationTableExists` and its neighbours).
    pub(super) fn lock(&self, create: bool) -> String {
        let lock = format!("select pg_try_advisory_xact_lock({LOCK})");
        if !create {
            return format!("{lock};");
        }
        // `create … if not exists` asks for the right to create even where nothing is to be created.
        let (table, lock_table) = (self.table(), self.qualified(&self.names.lock_table));
        let schema = self.names.schema.as_deref().map_or_else(String::new, |schema| {
            format!(
                "if to_regnamespace({}) is null then create schema {}; end if;",
                literal(&identifier(schema)),
                identifier(schema)
            )
        });
        format!(
            "do $devdb$ declare other text; begin if pg_try_advisory_xact_lock({LOCK}) then {schema} \
             if to_regclass({table_text}) is null then {other} create table {table} (\"name\" varchar(255) not null primary key, \
             \"timestamp\" varchar(255) not null); end if; \
             if to_regclass({lock_text}) is null then create table {lock_table} (\"id\" varchar(255) not null primary key, \
             \"is_locked\" integer default 0 not null); \
             insert into {lock_table} (\"id\", \"is_locked\") values ('migration_lock', 0); end if; \
             end if; end $devdb$; {lock};",
            other = self.refuse_another(),
            table_text = literal(&table),
            lock_text = literal(&lock_table),
        )
    }

    /// A ledger that is there, but not where names without a schema lead, is most probably the one that is meant; a new
    /// one would have every migration run again.
    fn refuse_another(&self) -> String {
        if self.names.schema.is_some() {
            return String::new();
        }
        format!(
            "select n.nspname into other from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
             where c.relname = {table} and c.relkind in ('r', 'p') and n.nspname !~ '^pg_' order by 1 limit 1; \
             if other is not null then raise exception using errcode = '55000', message = format('there is a ledger %I.%I, \
             but this login looks for it in %I', other, {table}, coalesce(current_schema(), current_user)), hint = {hint}; end if;",
            table = literal(&self.names.table),
            hint = literal(LEDGER_ELSEWHERE)
        )
    }

    /// Name and time of each row; the last row holds the schema, which pins the table for the rest of the run, and
    /// whether the journal beside it can be written.
    pub(super) fn rows(&self) -> String {
        format!(
            "select l.\"name\", l.\"timestamp\" from {} l; select n.nspname, {}, floor(extract(epoch from clock_timestamp()) * 1000)::bigint, pg_backend_pid() from pg_catalog.pg_class c \
             join pg_catalog.pg_namespace n on n.oid = c.relnamespace left join pg_catalog.pg_class j \
             on j.relnamespace = n.oid and j.relname = 'devdb_migration_journal' where c.oid = to_regclass({})",
            self.table(),
            SideTables::state_columns(),
            literal(&self.table())
        )
    }

    pub(super) fn hold(&self) -> String {
        // The session has the lock already, so this cannot wait. What was set for the transaction only would end here,
        // and a statement that runs alone needs it most: nothing takes its work back once the row cannot be written.
        format!("select pg_advisory_lock({LOCK}); {}; commit", self.settings(false))
    }

    /// Before and behind a statement that may queue as long as it takes. A limit that a file has set stays.
    pub(super) fn unlimited(&self) -> [String; 2] {
        let exchange = |from: u128, to: u128| {
            format!(
                "select set_config('lock_timeout', '{to}', false) from pg_catalog.pg_settings \
                 where name = 'lock_timeout' and setting = '{from}'"
            )
        };
        [exchange(self.lock_timeout_ms, 0), exchange(0, self.lock_timeout_ms)]
    }

    /// Gives the lock back, and puts back what a migration that failed has set.
    pub(super) fn release(&self) -> String {
        format!(
            "reset session authorization; reset role; reset all; {}; select pg_advisory_unlock({LOCK})",
            Self::FORGET
        )
    }

    /// Who has the lock. `pg_locks` shows a 64-bit key as two halves (PostgreSQL documentation, "pg_locks").
    pub(super) fn holder() -> &'static str {
        "select l.pid, a.application_name, a.usename, \
         to_char(coalesce(a.xact_start, a.query_start, a.backend_start) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), a.state \
         from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid \
         where l.locktype = 'advisory' and l.classid = 897169763 and l.objid = 17238259 and l.objsubid = 1 and l.granted \
         and l.database = (select oid from pg_catalog.pg_database where datname = current_database()) \
         and l.pid <> pg_backend_pid() limit 1"
    }

    /// Comes behind [`Self::settle`].
    pub(super) fn change(&self, change: &RowChange, schema: &str, journal: JournalState) -> String {
        let table = self.ledger(schema);
        let is_kept = journal != JournalState::Unavailable;
        let mut parts = Vec::new();
        match change {
            RowChange::Delete { name } => {
                parts.push(format!("delete from {table} where \"name\" = {}", literal(name.as_str())));
                if journal == JournalState::Present {
                    parts.push(self.side.mark_undone(schema, name));
                }
            }
            RowChange::Insert { name, after, journal: entry } => {
                let now = "date_trunc('milliseconds', clock_timestamp())";
                let time = Self::behind(after, &table)
                    .map_or_else(|| now.to_owned(), |after| format!("greatest({now}, {after})"));
                parts.push(format!(
                    "insert into {table} (\"name\", \"timestamp\") values ({}, {})",
                    literal(name.as_str()),
                    Self::spelled(&time)
                ));
                let entry = entry.as_ref().filter(|_| is_kept);
                if entry.is_some() && journal == JournalState::Absent {
                    parts.push(SideTables::create(schema));
                }
                parts.extend(entry.map(|entry| self.side.insert(schema, &table, name, entry)));
            }
            RowChange::Restamp { name, was, not_before, after } => {
                let floor = not_before.map(|time| format!("timestamptz {}", literal(&kysely_time(time))));
                let times: Vec<String> = floor.into_iter().chain(Self::behind(after, &table)).collect();
                // `greatest` of nothing is null; a first row without a readable time begins history.
                let time = if times.is_empty() {
                    "to_timestamp(0)".to_owned()
                } else {
                    format!("greatest({})", times.join(", "))
                };
                parts.push(format!(
                    "update {table} set \"timestamp\" = {} where \"name\" = {}",
                    Self::spelled(&time),
                    literal(name.as_str())
                ));
                if journal == JournalState::Present {
                    parts.push(self.side.follow_time(schema, &table, name, was));
                }
            }
            RowChange::Rename { from, to } => {
                let (old, new) = (literal(from.as_str()), literal(to.as_str()));
                parts.push(format!("update {table} set \"name\" = {new} where \"name\" = {old}"));
                if journal == JournalState::Present {
                    parts.push(self.side.follow_name(schema, from, to));
                }
            }
        }
        parts.join("; ")
    }

    /// One millisecond behind a row or a time.
    fn behind(after: &After, table: &str) -> Option<String> {
        let after = match after {
            After::Nothing => return None,
            After::Time(time) => format!("timestamptz {}", literal(&kysely_time(*time))),
            After::Row(row) => {
                format!("(select \"timestamp\"::timestamptz from {table} where \"name\" = {})", literal(row.as_str()))
            }
        };
        Some(format!("date_trunc('milliseconds', {after}) + interval '1 millisecond'"))
    }

    /// A time in Kysely's spelling.
    fn spelled(time: &str) -> String {
        format!("to_char({time} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
    }

    fn table(&self) -> String {
        self.qualified(&self.names.table)
    }

    fn qualified(&self, table: &str) -> String {
        match &self.names.schema {
            Some(schema) => format!("{}.{}", identifier(schema), identifier(table)),
            None => identifier(table),
        }
    }
}

pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string constant that means the same whatever `standard_conforming_strings` says.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}
