-- What hangs on what, by bare names: one JSON document. Objects of the system are left out at either end.
with own as materialized (
  select n.oid from pg_catalog.pg_namespace n where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
), relation as materialized (
  select c.oid, c.relname::text as name, c.relkind from pg_catalog.pg_class c
  where c.relnamespace in (select o.oid from own o) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c')
), indexed as materialized (
  select i.indexrelid as oid, x.relname::text as index, r.name from pg_catalog.pg_index i
  join relation r on r.oid = i.indrelid join pg_catalog.pg_class x on x.oid = i.indexrelid
), function as materialized (
  select p.oid, p.proname::text as name, l.lanname::text as language, p.provolatile, p.prokind, p.prosrc, (
    select x.extname::text from pg_catalog.pg_depend d join pg_catalog.pg_extension x on x.oid = d.refobjid
    where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e' limit 1) as extension
  from pg_catalog.pg_proc p join pg_catalog.pg_language l on l.oid = p.prolang
  where p.pronamespace in (select o.oid from own o)
), typed as materialized (
  select t.oid, coalesce(r.name, e.typname::text, t.typname::text) as name, t.typtype from pg_catalog.pg_type t
  left join pg_catalog.pg_type e on e.oid = t.typelem and t.typcategory = 'A'
  left join relation r on r.oid = coalesce(nullif(e.typrelid, 0), t.typrelid)
  where t.typnamespace in (select o.oid from own o)
), dependent as materialized (
  select 'pg_catalog.pg_class'::regclass::oid as classid, r.oid,
    case r.relkind when 'S' then 'sequence' else 'column' end as kind, r.name, r.name as detail from relation r
  union all select 'pg_catalog.pg_class'::regclass, i.oid, 'column', i.name, i.index from indexed i
  union all select 'pg_catalog.pg_attrdef'::regclass, d.oid, 'default', r.name, a.attname from pg_catalog.pg_attrdef d
    join relation r on r.oid = d.adrelid join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
  union all select 'pg_catalog.pg_constraint'::regclass, k.oid, 'column', coalesce(r.name, t.name), k.conname
    from pg_catalog.pg_constraint k left join relation r on r.oid = k.conrelid left join typed t on t.oid = k.contypid
    where k.contype <> 'f' and coalesce(r.name, t.name) is not null
  union all select 'pg_catalog.pg_rewrite'::regclass, w.oid, case when w.rulename = '_RETURN' then 'view' else 'rule' end,
    r.name, w.rulename from pg_catalog.pg_rewrite w join relation r on r.oid = w.ev_class
  union all select 'pg_catalog.pg_trigger'::regclass, g.oid, 'trigger', r.name, g.tgname from pg_catalog.pg_trigger g
    join relation r on r.oid = g.tgrelid
  union all select 'pg_catalog.pg_policy'::regclass, y.oid, 'policy', r.name, y.polname from pg_catalog.pg_policy y
    join relation r on r.oid = y.polrelid
  union all select 'pg_catalog.pg_proc'::regclass, f.oid, 'function', f.name, f.name from function f
  union all select 'pg_catalog.pg_type'::regclass, t.oid, 'column', t.name, t.name from typed t
  union all select 'pg_catalog.pg_event_trigger'::regclass, v.oid, 'event', '', v.evtname from pg_catalog.pg_event_trigger v
  union all select 'pg_catalog.pg_operator'::regclass, o.oid, 'operator', '', o.oprname from pg_catalog.pg_operator o
    where o.oprnamespace in (select w.oid from own w)
  union all select 'pg_catalog.pg_cast'::regclass, c.oid, 'operator', '', 'a cast' from pg_catalog.pg_cast c where c.oid >= 16384
  union all select 'pg_catalog.pg_amproc'::regclass, m.oid, 'operator', '', 'an operator class' from pg_catalog.pg_amproc m
    where m.oid >= 16384
), needed as materialized (
  select 'pg_catalog.pg_class'::regclass::oid as classid, r.oid, r.name, r.relkind = 'S' as is_sequence from relation r
  union all select 'pg_catalog.pg_class'::regclass, i.oid, i.name, false from indexed i
  union all select 'pg_catalog.pg_proc'::regclass, f.oid, f.name, false from function f
  union all select 'pg_catalog.pg_type'::regclass, t.oid, t.name, false from typed t
  union all select 'pg_catalog.pg_operator'::regclass, o.oid, f.name, false from pg_catalog.pg_operator o
    join function f on f.oid = o.oprcode
), raw as materialized (
  select distinct d.classid, d.objid, d.refclassid, d.refobjid from pg_catalog.pg_depend d
  where d.objid >= 16384 and d.refobjid >= 16384 and d.deptype <> 'e'
    -- What an extension brings along as an operator or a cast touches no table.
    and not exists (select from pg_catalog.pg_depend m where m.classid = d.classid and m.objid = d.objid and m.deptype = 'e'
      and d.classid in ('pg_catalog.pg_operator'::regclass, 'pg_catalog.pg_cast'::regclass, 'pg_catalog.pg_amproc'::regclass))
), system as materialized (
  -- What reads or changes more than its arguments name.
  select p.oid::text as oid from pg_catalog.pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace
  and (p.proname in ('lastval', 'set_config', 'setseed', 'ts_stat', 'ts_rewrite', 'loread', 'lowrite')
    or p.proname ~ '_to_xml|^lo_|^pg_' and p.proname !~ '^pg_(typeof|sleep|notify|column_size|trigger_depth|backend_pid|advisory|try_advisory|current_xact_id|get_serial_sequence)')
), tree as (
  select r.name, w.ev_action::text as tree from pg_catalog.pg_rewrite w join relation r on r.oid = w.ev_class
  union all select r.name, d.adbin::text from pg_catalog.pg_attrdef d join relation r on r.oid = d.adrelid
  union all select coalesce(r.name, t.name), k.conbin::text from pg_catalog.pg_constraint k
    left join relation r on r.oid = k.conrelid left join typed t on t.oid = k.contypid
    where k.conbin is not null and coalesce(r.name, t.name) is not null
  union all select r.name, concat(y.polqual, y.polwithcheck) from pg_catalog.pg_policy y join relation r on r.oid = y.polrelid
  union all select t.name, p.typdefaultbin::text from pg_catalog.pg_type p join typed t on t.oid = p.oid
    where p.typdefaultbin is not null
  -- There is no such column before PostgreSQL 14.
  union all select f.name, to_jsonb(p) ->> 'prosqlbody' from function f join pg_catalog.pg_proc p on p.oid = f.oid
    where p.prosrc = ''
), link as (
  select case when n.is_sequence and d.kind <> 'default' then 'draws'
      when d.kind = 'default' and not n.is_sequence then 'column' else d.kind end as kind,
    d.name as "from", n.name as "to", d.detail from raw w
  join dependent d on d.classid = w.classid and d.oid = w.objid
  join needed n on n.classid = w.refclassid and n.oid = w.refobjid
  union select case when k.confupdtype in ('c', 'n', 'd') or k.confdeltype in ('c', 'n', 'd') then 'cascade' else 'foreign_key' end,
    c.name, p.name, k.conname from pg_catalog.pg_constraint k join relation c on c.oid = k.conrelid
    join relation p on p.oid = k.confrelid where k.contype = 'f'
  union select 'index', i.index, i.name, i.index from indexed i
  union select 'child', c.name, p.name, '' from pg_catalog.pg_inherits i join relation c on c.oid = i.inhrelid
    join relation p on p.oid = i.inhparent
)
select json_build_object(
  'path', (select coalesce(json_agg(s), '[]') from unnest(string_to_array(
    replace(current_setting('search_path'), '"$user"', current_user), ',')) u(part), trim(both '" ' from u.part) s),
  'relations', (select coalesce(json_agg(r.name), '[]') from relation r where r.relkind <> 'c'),
  'others', (select coalesce(json_agg(distinct x.name), '[]') from (select i.index as name from indexed i
    union all select t.name from typed t left join relation r on r.name = t.name where t.typtype <> 'p'
    and (r.name is null or r.relkind = 'c')) x),
  'opaque', (select coalesce(json_agg(distinct t.name), '[]') from tree t where exists (
    select from regexp_matches(t.tree, ':(relid|funcid) (\d+)', 'g') m where m[1] = 'relid' and m[2]::bigint between 1 and 16383
      or m[1] = 'funcid' and m[2] in (select s.oid from system s))),
  'foreign', (select coalesce(json_agg(r.name), '[]') from relation r where r.relkind = 'f'),
  'functions', (select coalesce(json_agg(json_build_object('name', f.name, 'language', f.language,
    'is_volatile', f.provolatile = 'v', 'is_immutable', f.provolatile = 'i', 'is_aggregate', f.prokind in ('a', 'w'),
    'extension', f.extension, 'body', coalesce(f.prosrc, ''))), '[]') from function f),
  'links', (select coalesce(json_agg(json_build_object('kind', l.kind, 'from', l."from", 'to', l."to", 'detail', l.detail)), '[]')
    from link l where l."from" <> l."to")
)::text
