-- What else a dump holds: schemas, extensions, functions, foreign servers. And what it cannot hold.
with own_schema as (select n.* from pg_catalog.pg_namespace n where {schema_filter})
select json_build_object(
  'schemas', (select coalesce(json_agg(json_build_object('oid', oid::bigint, 'name', nspname,
      'comment', pg_catalog.obj_description(oid, 'pg_namespace')) order by nspname collate "C"), '[]') from own_schema t where {no_member:pg_namespace:t.oid}),
  'extensions', (select coalesce(json_agg(json_build_object('oid', e.oid::bigint, 'name', e.extname, 'schema', n.nspname, 'is_relocatable', e.extrelocatable,
      'comment', pg_catalog.obj_description(e.oid, 'pg_extension'), 'usual_comment', (select a.comment from pg_catalog.pg_available_extensions() a where a.name = e.extname)) order by e.extname collate "C"), '[]')
    from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace where e.extname <> 'plpgsql' or e.oid >= 16384),
  'functions', (select coalesce(json_agg(json_build_object('oid', p.oid::bigint, 'schema', n.nspname, 'name', p.oid::regprocedure::text, 'kind', p.prokind,
      'identity', pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)),
      'definition', pg_catalog.pg_get_functiondef(p.oid), 'comment', pg_catalog.obj_description(p.oid, 'pg_proc'))
      order by n.nspname collate "C", p.oid::regprocedure::text collate "C"), '[]')
    from pg_catalog.pg_proc p join own_schema n on n.oid = p.pronamespace where p.prokind in ('f', 'p', 'w') and {function_filter}),
  'servers', (select coalesce(json_agg(json_build_object('oid', s.oid::bigint, 'name', s.srvname, 'wrapper', w.fdwname, 'type', s.srvtype, 'version', s.srvversion,
      'options', {options:s.srvoptions}, 'comment', pg_catalog.obj_description(s.oid, 'pg_foreign_server')) order by s.srvname collate "C"), '[]')
    from pg_catalog.pg_foreign_server s join pg_catalog.pg_foreign_data_wrapper w on w.oid = s.srvfdw where {no_member:pg_foreign_server:s.oid}),
  -- What no dump may or can show, and what has to do with it, so that a change of it does not go unseen.
  'refused', (select coalesce(json_agg(json_build_object('object', object, 'reason', reason, 'definition', definition) order by object collate "C"), '[]') from (
      select 'subscription ' || quote_ident(s.subname) as object, 'what it connects to is a secret' as reason, array_to_string(s.subpublications, ', ') as definition
      from pg_catalog.pg_subscription s where s.subdbid = (select oid from pg_catalog.pg_database where datname = current_database())
      union all
      select format('user mapping for %s on server %I', case when u.umuser = 0 then 'public' else quote_ident(u.usename) end, u.srvname),
        case when u.umoptions is null then 'you may not read its options' else 'its options hold a secret' end,
        (select string_agg(option_name, ', ' order by option_name) from pg_catalog.pg_options_to_table(u.umoptions))
      from pg_catalog.pg_user_mappings u where u.umoptions is null and current_setting('is_superuser') = 'off'
        or exists (select from pg_catalog.pg_options_to_table(u.umoptions) where option_name ~* 'pass|pwd|secret|token|key')
      union all
      select format('security label of %s %s', i.type, i.identity), 'it is the matter of ' || l.provider, l.label
      from pg_catalog.pg_seclabel l cross join lateral pg_catalog.pg_identify_object(l.classoid, l.objoid, l.objsubid) i where l.objoid >= 16384
      union all
      select format('policy %I on %s', p.polname, p.polrelid::regclass), 'its table belongs to an extension', pg_catalog.pg_get_expr(p.polqual, p.polrelid)
      from pg_catalog.pg_policy p where not {no_member:pg_class:p.polrelid}
      union all
      select format('row level security of %s', c.oid::regclass), 'its table belongs to an extension', null
      from pg_catalog.pg_class c where (c.relrowsecurity or c.relforcerowsecurity) and not {no_member:pg_class:c.oid}
      union all
      select format('partition %s', i.inhrelid::regclass), 'it is being detached; `alter table … detach partition … finalize` ends that', null
      from pg_catalog.pg_inherits i where i.inhdetachpending
    ) kinds))::text
