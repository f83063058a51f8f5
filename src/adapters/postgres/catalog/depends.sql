-- Which object needs which, both named as the dump names them: a letter for the catalog, and the oid.
with raw as materialized (
  select distinct d.classid, d.objid, d.refclassid, d.refobjid from pg_catalog.pg_depend d
  where d.objid >= 16384 and d.refobjid >= 16384 and d.deptype in ('n', 'a', 'i')
    -- A sequence is made before the table that owns it.
    and not (d.deptype in ('a', 'i') and d.classid = 'pg_catalog.pg_class'::regclass
      and exists (select from pg_catalog.pg_class c where c.oid = d.objid and c.relkind = 'S'))
), numbered as (
  select row_number() over () as edge, raw.* from raw
), node as materialized (
  -- Both ends below each other and not joined: nobody has counted pg_depend in a new database, and the planner, which
  -- takes its thousands of rows for one, would join them row by row (18 s for 500 tables).
  select n.edge, o.is_needed, coalesce((select 'e' || m.refobjid from pg_catalog.pg_depend m
      where m.classid = o.classid and m.objid = o.objid and m.deptype = 'e'), case o.classid
    when 'pg_catalog.pg_class'::regclass then coalesce(
      (select max(case when m.refclassid = 'pg_catalog.pg_constraint'::regclass then 'c' || m.refobjid end)
        from pg_catalog.pg_depend m where m.classid = o.classid and m.objid = o.objid and m.deptype = 'i'),
      (select case when c.relkind = 'c' then 't' || c.reltype else 'r' || c.oid end from pg_catalog.pg_class c where c.oid = o.objid))
    when 'pg_catalog.pg_attrdef'::regclass then 'D' || o.objid
    when 'pg_catalog.pg_type'::regclass then (
      select case when c.relkind <> 'c' then 'r' || c.oid when b.typtype = 'm' then 't' || (select r.rngtypid from pg_catalog.pg_range r where r.rngmultitypid = b.oid)
        else 't' || b.oid end
      from pg_catalog.pg_type t join pg_catalog.pg_type b on b.oid = coalesce((select e.oid from pg_catalog.pg_type e where e.oid = t.typelem and e.typarray = t.oid), t.oid)
        left join pg_catalog.pg_class c on c.oid = b.typrelid where t.oid = o.objid)
    when 'pg_catalog.pg_proc'::regclass then 'f' || o.objid
    when 'pg_catalog.pg_constraint'::regclass then (select case when k.contype in ('p', 'u', 'x', 'f', 'c') then 'c' || k.oid
      when k.contypid <> 0 then 't' || k.contypid when k.contype <> 't' then 'r' || k.conrelid end from pg_catalog.pg_constraint k where k.oid = o.objid)
    when 'pg_catalog.pg_rewrite'::regclass then 'w' || o.objid
    when 'pg_catalog.pg_trigger'::regclass then 'g' || o.objid
    when 'pg_catalog.pg_policy'::regclass then 'p' || o.objid
    when 'pg_catalog.pg_statistic_ext'::regclass then 's' || o.objid
    when 'pg_catalog.pg_foreign_server'::regclass then 'S' || o.objid
    when 'pg_catalog.pg_extension'::regclass then 'e' || o.objid
    when 'pg_catalog.pg_collation'::regclass then 'l' || o.objid
    when 'pg_catalog.pg_foreign_data_wrapper'::regclass then 'W' || o.objid
    when 'pg_catalog.pg_cast'::regclass then 'k' || o.objid
    when 'pg_catalog.pg_operator'::regclass then 'x' || o.objid
    when 'pg_catalog.pg_conversion'::regclass then 'h' || o.objid
    when 'pg_catalog.pg_ts_dict'::regclass then 'd' || o.objid
    when 'pg_catalog.pg_ts_config'::regclass then 'i' || o.objid
    when 'pg_catalog.pg_event_trigger'::regclass then 'v' || o.objid
    when 'pg_catalog.pg_am'::regclass then 'A' || o.objid
    when 'pg_catalog.pg_language'::regclass then 'L' || o.objid
    when 'pg_catalog.pg_transform'::regclass then 'X' || o.objid
    when 'pg_catalog.pg_ts_parser'::regclass then 'P' || o.objid
    when 'pg_catalog.pg_ts_template'::regclass then 'T' || o.objid
    when 'pg_catalog.pg_user_mapping'::regclass then 'U' || o.objid
    when 'pg_catalog.pg_publication_rel'::regclass then (select 'B' || p.prpubid from pg_catalog.pg_publication_rel p where p.oid = o.objid)
    -- A class is made with its family, and so is what belongs to either.
    when 'pg_catalog.pg_opfamily'::regclass then 'F' || o.objid
    when 'pg_catalog.pg_opclass'::regclass then (select 'F' || c.opcfamily from pg_catalog.pg_opclass c where c.oid = o.objid)
    when 'pg_catalog.pg_amop'::regclass then (select 'F' || m.amopfamily from pg_catalog.pg_amop m where m.oid = o.objid)
    when 'pg_catalog.pg_amproc'::regclass then (select 'F' || m.amprocfamily from pg_catalog.pg_amproc m where m.oid = o.objid)
  end) as key
  from numbered n cross join lateral (values (false, n.classid, n.objid), (true, n.refclassid, n.refobjid)) o(is_needed, classid, objid)
), ended as (
  select max(key) filter (where not is_needed) as key, max(key) filter (where is_needed) as needed from node group by edge
)
select distinct key, needed from ended where key <> needed
