-- Every relation with its size and rows; partitions follow their parent by `partition_of`.
select json_build_object(
  'schema', n.nspname, 'name', c.relname, 'shown', c.oid::regclass::text, 'kind', c.relkind,
  'partition_of', (select i.inhparent::regclass::text from pg_catalog.pg_inherits i where i.inhrelid = c.oid and c.relispartition),
  'owned_by', (select d.refobjid::regclass::text from pg_catalog.pg_depend d
    where c.relkind = 'S' and d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')
      and d.refclassid = 'pg_catalog.pg_class'::regclass),
  'rows', {rows}, 'size_bytes', {size}, 'comment', pg_catalog.obj_description(c.oid, 'pg_class'))::text
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and {filter}
order by n.nspname collate "C", c.relname collate "C"
