-- The types that somebody made: enums, domains, composite and range types.
select json_build_object(
  'oid', t.oid::bigint, 'schema', n.nspname, 'name', t.typname, 'shown', pg_catalog.format_type(t.oid, null), 'kind', t.typtype,
  'comment', pg_catalog.obj_description(t.oid, 'pg_type'),
  'labels', (select coalesce(json_agg(e.enumlabel order by e.enumsortorder), '[]') from pg_catalog.pg_enum e where e.enumtypid = t.oid),
  'base', case when t.typtype = 'd' then pg_catalog.format_type(t.typbasetype, t.typtypmod) end,
  'not_null', t.typnotnull, 'default', case when t.typtype = 'd' then coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 'pg_catalog.pg_type'::regclass), pg_catalog.quote_literal(t.typdefault)) end,
  'collation', case when t.typtype = 'd' and t.typcollation <> (select b.typcollation from pg_catalog.pg_type b where b.oid = t.typbasetype)
    then t.typcollation::regcollation::text end,
  'constraints', (select coalesce(json_agg(json_build_object('oid', k.oid::bigint, 'name', k.conname, 'definition', pg_catalog.pg_get_constraintdef(k.oid, {pretty}),
      'is_validated', k.convalidated,
      'comment', pg_catalog.obj_description(k.oid, 'pg_constraint')) order by k.conname), '[]')
    from pg_catalog.pg_constraint k where k.contypid = t.oid and k.contype = 'c'),
  'attributes', (select coalesce(json_agg(json_build_object('name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
      'collation', case when a.attcollation <> b.typcollation and a.attcollation <> 0 then a.attcollation::regcollation::text end,
      'comment', pg_catalog.col_description(a.attrelid, a.attnum)) order by a.attnum), '[]')
    from pg_catalog.pg_attribute a join pg_catalog.pg_type b on b.oid = a.atttypid
    where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped),
  'range', (select json_build_object('subtype', pg_catalog.format_type(r.rngsubtype, null),
      'opclass', case when not o.opcdefault then (select pg_catalog.quote_ident(opn.nspname) || '.' from pg_catalog.pg_namespace opn where opn.oid = o.opcnamespace) || pg_catalog.quote_ident(o.opcname) end,
      'collation', case when r.rngcollation <> s.typcollation then r.rngcollation::regcollation::text end,
      'canonical', nullif(r.rngcanonical::oid, 0)::regproc::text, 'difference', nullif(r.rngsubdiff::oid, 0)::regproc::text,
      'multirange', (select pg_catalog.quote_ident(mn.nspname) || '.' || pg_catalog.quote_ident(m.typname) from pg_catalog.pg_type m join pg_catalog.pg_namespace mn on mn.oid = m.typnamespace where m.oid = r.rngmultitypid))
    from pg_catalog.pg_range r join pg_catalog.pg_opclass o on o.oid = r.rngsubopc join pg_catalog.pg_type s on s.oid = r.rngsubtype
    where r.rngtypid = t.oid),
  'used_by', (select coalesce(json_agg(c.oid::regclass::text || '.' || pg_catalog.quote_ident(a.attname) order by c.oid::regclass::text, a.attnum), '[]')
    from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
    where {used_by} and a.atttypid in (t.oid, t.typarray) and a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f')))::text
from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
where (t.typtype in ('e', 'd', 'r') or t.typtype = 'c' and exists (select from pg_catalog.pg_class c where c.oid = t.typrelid and c.relkind = 'c'))
  and {filter}
order by n.nspname collate "C", t.typname collate "C"
