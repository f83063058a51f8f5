-- What else a dump holds: schemas, extensions, functions, foreign servers. And, by number, what it cannot hold.
with own_schema as (select n.* from pg_catalog.pg_namespace n where {schema_filter})
select json_build_object(
  'schemas', (select coalesce(json_agg(json_build_object('oid', oid::bigint, 'name', nspname,
      'comment', pg_catalog.obj_description(oid, 'pg_namespace')) order by nspname collate "C"), '[]') from own_schema),
  'extensions', (select coalesce(json_agg(json_build_object('oid', e.oid::bigint, 'name', e.extname, 'schema', n.nspname, 'is_relocatable', e.extrelocatable) order by e.extname collate "C"), '[]')
    from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace where e.extname <> 'plpgsql'),
  'functions', (select coalesce(json_agg(json_build_object('oid', p.oid::bigint, 'schema', n.nspname, 'name', p.oid::regprocedure::text, 'kind', p.prokind,
      'definition', pg_catalog.pg_get_functiondef(p.oid), 'comment', pg_catalog.obj_description(p.oid, 'pg_proc'))
      order by n.nspname collate "C", p.oid::regprocedure::text collate "C"), '[]')
    from pg_catalog.pg_proc p join own_schema n on n.oid = p.pronamespace where p.prokind in ('f', 'p', 'w') and {function_filter}),
  'servers', (select coalesce(json_agg(json_build_object('oid', s.oid::bigint, 'name', s.srvname, 'wrapper', w.fdwname, 'type', s.srvtype, 'version', s.srvversion,
      'options', {options:s.srvoptions}, 'comment', pg_catalog.obj_description(s.oid, 'pg_foreign_server')) order by s.srvname collate "C"), '[]')
    from pg_catalog.pg_foreign_server s join pg_catalog.pg_foreign_data_wrapper w on w.oid = s.srvfdw),
  'left_out', (select coalesce(json_agg(json_build_object('what', what, 'count', count) order by what) filter (where count > 0), '[]') from (
      select 'access methods' as what, count(*) from pg_catalog.pg_am t where t.oid >= 16384 and {member:pg_am}
      union all select 'base types', count(*) from pg_catalog.pg_type t join own_schema n on n.oid = t.typnamespace where t.typtype = 'b' and t.typelem = 0 and {type_filter}
      union all select 'languages', count(*) from pg_catalog.pg_language t where t.oid >= 16384 and {member:pg_language}
      union all select 'operator classes', count(*) from pg_catalog.pg_opclass t join own_schema n on n.oid = t.opcnamespace where {member:pg_opclass}
      union all select 'operator families', count(*) from pg_catalog.pg_opfamily t join own_schema n on n.oid = t.opfnamespace where {member:pg_opfamily}
        and not exists (select from pg_catalog.pg_opclass c where c.opcfamily = t.oid)
      union all select 'publications', count(*) from pg_catalog.pg_publication
      union all select 'subscriptions', count(subname) from pg_catalog.pg_subscription where subdbid = (select oid from pg_catalog.pg_database where datname = current_database())
      union all select 'text search parsers', count(*) from pg_catalog.pg_ts_parser t join own_schema n on n.oid = t.prsnamespace where {member:pg_ts_parser}
      union all select 'text search templates', count(*) from pg_catalog.pg_ts_template t join own_schema n on n.oid = t.tmplnamespace where {member:pg_ts_template}
      union all select 'transforms', count(*) from pg_catalog.pg_transform t where {member:pg_transform}
    ) kinds))::text
