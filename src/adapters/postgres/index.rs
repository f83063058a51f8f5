use super::answer::text;
use super::ledger::literal;
use crate::migrate::StandingIndex;
use crate::migrate::sql::IndexBuild;
use tokio_postgres::SimpleQueryRow;

/// Asks for the index that this statement would build, unless somebody is building it now.
pub(super) fn find(build: &IndexBuild) -> String {
    // The server folds the name as it is written, and the cast shortens it.
    format!(
        "select format('%I.%I', n.nspname, c.relname), i.indisvalid, pg_get_indexdef(c.oid) from pg_catalog.pg_index i \
         join pg_catalog.pg_class c on c.oid = i.indexrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
         where i.indrelid = to_regclass({}) and c.relname = (parse_ident({}))[1]::name \
         and not exists (select from pg_catalog.pg_stat_progress_create_index p where p.index_relid = c.oid)",
        literal(&build.table),
        literal(&build.name)
    )
}

/// What [`find`] found.
pub(super) fn standing(row: &SimpleQueryRow) -> StandingIndex {
    StandingIndex { name: text(row, 0), is_valid: text(row, 1) == "t", definition: text(row, 2) }
}
