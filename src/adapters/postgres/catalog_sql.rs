use super::ledger::literal;
use crate::schema::ObjectName;

/// What begins each reading. Compiling a query of the catalog takes seconds, running it milliseconds: `jit` is off. Other sessions' settings must not show in a definition, and nobody's lock is waited for long.
const BEGIN: &str = "begin transaction isolation level repeatable read read only; set local lock_timeout = '5s'; set local jit = off; \
    set local datestyle = 'ISO'; set local intervalstyle = 'postgres'; set local bytea_output = 'hex'; \
    set local quote_all_identifiers = off; set local standard_conforming_strings = on";

/// The system's own.
const OWN_SCHEMA: &str = "n.nspname !~ '^pg_' and n.nspname <> 'information_schema'";

/// What devdb keeps beside the ledger is no part of anybody's schema.
const SIDE_TABLES: &str = "c.relname not in ('devdb_migration_journal', 'devdb_repair_log') and not (c.relkind = 'S' and exists ( \
    select from pg_catalog.pg_depend o join pg_catalog.pg_class t on t.oid = o.refobjid where o.classid = 'pg_catalog.pg_class'::regclass \
    and o.refclassid = 'pg_catalog.pg_class'::regclass and o.objid = c.oid and o.deptype in ('a', 'i') \
    and t.relname in ('devdb_migration_journal', 'devdb_repair_log')))";

fn no_member(catalog: &str, oid: &str) -> String {
    format!(
        "not exists (select from pg_catalog.pg_depend m where m.classid = 'pg_catalog.{catalog}'::regclass \
         and m.objid = {oid} and m.deptype = 'e')"
    )
}

/// An estimate for one table; a file without a page has no row.
fn rows_of(alias: &str) -> String {
    format!(
        "case when pg_catalog.pg_stat_get_live_tuples({alias}.oid) > 0 then pg_catalog.pg_stat_get_live_tuples({alias}.oid) \
         when {alias}.reltuples >= 0 then {alias}.reltuples::bigint when pg_catalog.pg_relation_size({alias}.oid) = 0 then 0 end"
    )
}

fn rows() -> String {
    format!(
        "case when c.relkind in ('r', 'm') then {} when c.relkind = 'p' then (select coalesce(sum({}), 0)::bigint \
         from pg_catalog.pg_partition_tree(c.oid) t join pg_catalog.pg_class k on k.oid = t.relid where t.isleaf and k.relkind = 'r') end",
        rows_of("c"),
        rows_of("k")
    )
}

const SIZE: &str = "case when c.relkind in ('r', 'm') then pg_catalog.pg_total_relation_size(c.oid) \
    when c.relkind = 'p' then (select coalesce(sum(pg_catalog.pg_total_relation_size(t.relid)), 0)::bigint \
    from pg_catalog.pg_partition_tree(c.oid) t) end";

/// Fills the files of `catalog/`.
struct Filling<'a> {
    filter: &'a str,
    pretty: bool,
    rows: &'a str,
    size: &'a str,
    used_by: bool,
}

impl Filling<'_> {
    fn fill(&self, template: &str) -> String {
        let mut text = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, marked)) = rest.split_once('{') {
            // A brace that is SQL's own stays.
            let Some((mark, behind)) = marked.split_once('}') else { break };
            text.push_str(before);
            text.push_str(&self.value(mark));
            rest = behind;
        }
        text.push_str(rest);
        text
    }

    fn value(&self, mark: &str) -> String {
        match mark.split_once(':') {
            Some(("options", column)) => format!(
                "(select coalesce(json_agg(json_build_object('name', o.option_name, 'value', o.option_value)), '[]') \
                 from pg_catalog.pg_options_to_table({column}) o)"
            ),
            Some(("no_member", object)) => {
                let (catalog, oid) = object.split_once(':').unwrap_or((object, "t.oid"));
                no_member(catalog, oid)
            }
            _ => match mark {
                "filter" => self.filter.to_owned(),
                "pretty" => self.pretty.to_string(),
                "rows" => self.rows.to_owned(),
                "size" => self.size.to_owned(),
                // Neither is needed of a whole schema, and neither has an index in the catalog.
                "referenced_by" | "used_by" => self.used_by.to_string(),
                "schema_filter" => OWN_SCHEMA.to_owned(),
                // The constructors of a range type come with the type.
                "function_filter" => no_member("pg_proc", "p.oid").replace("= 'e'", "in ('e', 'i')"),
                other => format!("{{{other}}}"),
            },
        }
    }
}

/// The list: relations, then types.
pub(super) fn list() -> String {
    let rows = rows();
    let relations = format!("{OWN_SCHEMA} and {SIDE_TABLES} and {}", no_member("pg_class", "c.oid"));
    let types = format!("{OWN_SCHEMA} and {}", no_member("pg_type", "t.oid"));
    let filling = |filter| Filling { filter, pretty: true, rows: &rows, size: SIZE, used_by: false };
    format!(
        "{BEGIN}; {}; select json_build_object('schema', n.nspname, 'name', t.typname, \
         'shown', pg_catalog.format_type(t.oid, null), 'kind', t.typtype)::text \
         from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace \
         where (t.typtype in ('e', 'd', 'r') or t.typtype = 'c' and exists (select from pg_catalog.pg_class c \
         where c.oid = t.typrelid and c.relkind = 'c')) and {types} \
         order by n.nspname collate \"C\", t.typname collate \"C\"; commit",
        filling(&relations).fill(include_str!("catalog/list.sql"))
    )
}

/// One object: the relation (an index stands for its table), the type, and all names if there is neither.
pub(super) fn find(name: &ObjectName) -> String {
    let name = literal(&name.quoted());
    let rows = rows();
    let relation = format!(
        "c.oid = coalesce((select i.indrelid from pg_catalog.pg_index i where i.indexrelid = to_regclass({name})), to_regclass({name}))"
    );
    let type_filter = format!("t.oid = to_regtype({name})");
    let filling = |filter| Filling { filter, pretty: true, rows: &rows, size: SIZE, used_by: true };
    format!(
        "{BEGIN}; {}; {}; select c.oid::regclass::text from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace where to_regclass({name}) is null and to_regtype({name}) is null \
         and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and {OWN_SCHEMA} \
         union all select pg_catalog.format_type(t.oid, null) from pg_catalog.pg_type t \
         join pg_catalog.pg_namespace n on n.oid = t.typnamespace where to_regclass({name}) is null and to_regtype({name}) is null \
         and t.typtype in ('e', 'd', 'r') and {OWN_SCHEMA}; commit",
        filling(&relation).fill(include_str!("catalog/relations.sql")),
        filling(&type_filter).fill(include_str!("catalog/types.sql")),
    )
}

/// Everything: relations, types, the rest, single definitions, and what needs what.
pub(super) fn read_all() -> String {
    let relations = format!("{OWN_SCHEMA} and {SIDE_TABLES} and {}", no_member("pg_class", "c.oid"));
    let types = format!("{OWN_SCHEMA} and {}", no_member("pg_type", "t.oid"));
    let nothing = "null::bigint";
    let filling = |filter| Filling { filter, pretty: false, rows: nothing, size: nothing, used_by: false };
    format!(
        "{BEGIN}; set local timezone = 'UTC'; set local search_path = ''; {}; {}; {}; {}; {}; commit",
        filling(&relations).fill(include_str!("catalog/relations.sql")),
        filling(&types).fill(include_str!("catalog/types.sql")),
        filling("true").fill(include_str!("catalog/others.sql")),
        filling("true").fill(include_str!("catalog/definitions.sql")),
        include_str!("catalog/depends.sql"),
    )
}
