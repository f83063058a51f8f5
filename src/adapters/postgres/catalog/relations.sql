-- One JSON document for each relation. {filter} chooses which; {pretty} is how the server writes expressions.
with relation as (
  select c.*, n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and {filter}
)
select json_build_object(
  'oid', c.oid::bigint, 'schema', c.nspname, 'name', c.relname, 'shown', c.oid::regclass::text, 'kind', c.relkind,
  'persistence', c.relpersistence, 'is_partition', c.relispartition,
  'access_method', (select m.amname from pg_catalog.pg_am m where m.oid = c.relam and m.amname <> 'heap'),
  'tablespace', (select s.spcname from pg_catalog.pg_tablespace s where s.oid = c.reltablespace),
  'rule', (select r.oid::bigint from pg_catalog.pg_rewrite r where r.ev_class = c.oid and r.rulename = '_RETURN'),
  'comment', pg_catalog.obj_description(c.oid, 'pg_class'),
  'options', to_json(array_cat(coalesce(c.reloptions, '{}'), (select array_agg('toast.' || o) from pg_catalog.pg_class x, unnest(x.reloptions) o
    where x.oid = c.reltoastrelid))),
  'row_security', c.relrowsecurity, 'force_row_security', c.relforcerowsecurity,
  'replica_identity', c.relreplident,
  'partition_key', case when c.relkind = 'p' then pg_catalog.pg_get_partkeydef(c.oid) end,
  'partition_bound', case when c.relispartition then pg_catalog.pg_get_expr(c.relpartbound, c.oid) end,
  'of_type', case when c.reloftype <> 0 then c.reloftype::regtype::text end,
  'view', case when c.relkind in ('v', 'm') then pg_catalog.pg_get_viewdef(c.oid, {pretty}) end,
  'is_populated', c.relispopulated,
  'server', (select json_build_object('name', s.srvname, 'options', {options:f.ftoptions})
    from pg_catalog.pg_foreign_table f join pg_catalog.pg_foreign_server s on s.oid = f.ftserver where f.ftrelid = c.oid),
  'sequence', (select json_build_object('type', format_type(s.seqtypid, null), 'start', s.seqstart, 'increment', s.seqincrement,
      'min', s.seqmin, 'max', s.seqmax, 'cache', s.seqcache, 'cycle', s.seqcycle,
      'owned_by', (select json_build_object('table', d.refobjid::regclass::text, 'column', a.attname)
        from pg_catalog.pg_depend d join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
        where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')
          and d.refclassid = 'pg_catalog.pg_class'::regclass),
      'is_identity', exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'i'))
    from pg_catalog.pg_sequence s where s.seqrelid = c.oid),
  'parents', (select coalesce(json_agg(i.inhparent::regclass::text order by i.inhseqno), '[]')
    from pg_catalog.pg_inherits i where i.inhrelid = c.oid),
  'children', (select coalesce(json_agg(json_build_object('name', k.oid::regclass::text, 'kind', k.relkind,
      'bound', pg_catalog.pg_get_expr(k.relpartbound, k.oid)) order by n.nspname, k.relname), '[]')
    from pg_catalog.pg_inherits i join pg_catalog.pg_class k on k.oid = i.inhrelid
      join pg_catalog.pg_namespace n on n.oid = k.relnamespace where i.inhparent = c.oid and c.relkind in ('r', 'p', 'f')),
  'columns', (select coalesce(json_agg(json_build_object(
      'name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod), 'not_null', a.attnotnull,
      'default', pg_catalog.pg_get_expr(d.adbin, d.adrelid, {pretty}), 'default_oid', d.oid::bigint, 'generated', nullif(a.attgenerated, ''), 'identity', nullif(a.attidentity, ''),
      -- pg_get_serial_sequence would ask for the right to use the schema.
      'identity_options', (select json_build_object('name', s.seqrelid::regclass::text, 'type', format_type(s.seqtypid, null), 'start', s.seqstart,
          'increment', s.seqincrement, 'min', s.seqmin, 'max', s.seqmax, 'cache', s.seqcache, 'cycle', s.seqcycle, 'oid', q.oid::bigint,
          'persistence', case when current_setting('server_version_num')::int >= 150000 then q.relpersistence end, 'comment', pg_catalog.obj_description(q.oid, 'pg_class'))
        from pg_catalog.pg_depend w join pg_catalog.pg_sequence s on s.seqrelid = w.objid join pg_catalog.pg_class q on q.oid = s.seqrelid
        where a.attidentity <> '' and w.classid = 'pg_catalog.pg_class'::regclass and w.refclassid = 'pg_catalog.pg_class'::regclass
          and w.refobjid = c.oid and w.refobjsubid = a.attnum and w.deptype = 'i'),
      'collation', case when a.attcollation <> t.typcollation and a.attcollation <> 0 then a.attcollation::regcollation::text end,
      'storage', case when a.attstorage <> t.typstorage then a.attstorage end, 'usual_storage', t.typstorage,
      'compression', nullif(a.attcompression, ''), 'statistics', nullif(a.attstattarget, -1),
      'options', coalesce(to_json(a.attoptions), '[]'), 'foreign_options', {options:a.attfdwoptions},
      'is_local', a.attislocal, 'comment', pg_catalog.col_description(c.oid, a.attnum)) order by a.attnum), '[]')
    from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
      left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and c.relkind <> 'S'),
  'constraints', (select coalesce(json_agg(json_build_object(
      'oid', k.oid::bigint, 'name', k.conname, 'kind', k.contype, 'definition', pg_catalog.pg_get_constraintdef(k.oid, {pretty}),
      'columns', (select coalesce(json_agg(a.attname order by u.at), '[]') from unnest(k.conkey) with ordinality u (number, at)
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number),
      'references', case when k.contype = 'f' then json_build_object('schema', fn.nspname, 'name', f.relname, 'shown', k.confrelid::regclass::text,
        'columns', (select json_agg(a.attname order by u.at) from unnest(k.confkey) with ordinality u (number, at)
          join pg_catalog.pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number)) end,
      'is_local', k.conislocal, 'is_validated', k.convalidated, 'is_inherited', k.conparentid <> 0, 'is_clustered', coalesce(i.indisclustered, false),
      'is_replica_identity', coalesce(i.indisreplident, false),
      'index_parent', (select p.inhparent::regclass::text from pg_catalog.pg_inherits p where p.inhrelid = k.conindid and k.contype in ('p', 'u', 'x')),
      'index_options', coalesce((select to_json(x.reloptions) from pg_catalog.pg_class x where x.oid = k.conindid and k.contype in ('p', 'u', 'x')), '[]'),
      'index_name', case when k.contype in ('p', 'u', 'x') then k.conindid::regclass::text end,
      'tablespace', (select s.spcname from pg_catalog.pg_class x join pg_catalog.pg_tablespace s on s.oid = x.reltablespace
        where x.oid = k.conindid and k.contype in ('p', 'u', 'x')),
      'comment', pg_catalog.obj_description(k.oid, 'pg_constraint'),
      'index_comment', case when k.contype in ('p', 'u', 'x') then pg_catalog.obj_description(k.conindid, 'pg_class') end)
      order by array_position(array['p', 'u', 'x', 'f', 'c'], k.contype::text), k.conname), '[]')
    from pg_catalog.pg_constraint k left join pg_catalog.pg_class f on f.oid = k.confrelid
      left join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace
      left join pg_catalog.pg_index i on i.indexrelid = k.conindid and k.contype in ('p', 'u', 'x')
    where k.conrelid = c.oid and k.contype in ('p', 'u', 'x', 'f', 'c')),
  'referenced_by', (select coalesce(json_agg(json_build_object('table', k.conrelid::regclass::text, 'name', k.conname,
      'definition', pg_catalog.pg_get_constraintdef(k.oid, {pretty})) order by k.conrelid::regclass::text, k.conname), '[]')
    from pg_catalog.pg_constraint k where {referenced_by} and k.confrelid = c.oid and k.contype = 'f' and k.conparentid = 0),
  'indexes', (select coalesce(json_agg(json_build_object(
      'oid', x.oid::bigint, 'name', x.relname, 'shown', x.oid::regclass::text, 'is_partitioned', x.relkind = 'I',
      'tablespace', (select s.spcname from pg_catalog.pg_tablespace s where s.oid = x.reltablespace), 'definition', pg_catalog.pg_get_indexdef(x.oid),
      'short', pg_catalog.pg_get_indexdef(x.oid, 0, true),
      'is_unique', i.indisunique, 'is_primary', i.indisprimary, 'is_valid', i.indisvalid, 'is_clustered', i.indisclustered,
      'is_replica_identity', i.indisreplident,
      'constraint', (select k.conname from pg_catalog.pg_constraint k where k.conrelid = c.oid and k.conindid = x.oid and k.contype in ('p', 'u', 'x')),
      'parent', (select p.inhparent::regclass::text from pg_catalog.pg_inherits p where p.inhrelid = x.oid),
      'statistics', (select coalesce(json_agg(json_build_object('number', a.attnum, 'target', a.attstattarget) order by a.attnum), '[]')
        from pg_catalog.pg_attribute a where a.attrelid = x.oid and a.attstattarget >= 0),
      'size_bytes', case when x.relkind = 'i' then pg_catalog.pg_relation_size(x.oid) end,
      'comment', pg_catalog.obj_description(x.oid, 'pg_class')) order by i.indisprimary desc, x.relname), '[]')
    from pg_catalog.pg_index i join pg_catalog.pg_class x on x.oid = i.indexrelid where i.indrelid = c.oid),
  'triggers', (select coalesce(json_agg(json_build_object('oid', t.oid::bigint, 'name', t.tgname,
      'definition', pg_catalog.pg_get_triggerdef(t.oid, {pretty}), 'enabled', t.tgenabled, 'is_inherited', t.tgparentid <> 0,
      'parent', nullif(t.tgparentid, 0)::bigint, 'parent_enabled', (select u.tgenabled from pg_catalog.pg_trigger u where u.oid = t.tgparentid),
      'comment', pg_catalog.obj_description(t.oid, 'pg_trigger')) order by t.tgname), '[]')
    from pg_catalog.pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal),
  'policies', (select coalesce(json_agg(json_build_object('oid', p.oid::bigint, 'name', p.polname, 'is_permissive', p.polpermissive,
      'command', p.polcmd, 'roles', (select coalesce(json_agg(pg_catalog.quote_ident(r.rolname) order by r.rolname), '[]') from pg_catalog.pg_roles r where r.oid = any (p.polroles)),
      'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid, {pretty}), 'check', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid, {pretty}),
      'comment', pg_catalog.obj_description(p.oid, 'pg_policy')) order by p.polname), '[]')
    from pg_catalog.pg_policy p where p.polrelid = c.oid),
  'rules', (select coalesce(json_agg(json_build_object('oid', r.oid::bigint, 'name', r.rulename,
      'definition', pg_catalog.pg_get_ruledef(r.oid, {pretty}), 'enabled', r.ev_enabled,
      'comment', pg_catalog.obj_description(r.oid, 'pg_rewrite')) order by r.rulename), '[]')
    from pg_catalog.pg_rewrite r where r.ev_class = c.oid and r.rulename <> '_RETURN'),
  'statistics', (select coalesce(json_agg(json_build_object('oid', s.oid::bigint, 'name', pg_catalog.quote_ident(sn.nspname) || '.' || pg_catalog.quote_ident(s.stxname),
      'definition', pg_catalog.pg_get_statisticsobjdef(s.oid), 'target', nullif(s.stxstattarget, -1),
      'comment', pg_catalog.obj_description(s.oid, 'pg_statistic_ext')) order by sn.nspname, s.stxname), '[]')
    from pg_catalog.pg_statistic_ext s join pg_catalog.pg_namespace sn on sn.oid = s.stxnamespace where s.stxrelid = c.oid),
  'size_bytes', {size}, 'rows', {rows})::text
from relation c
order by c.nspname collate "C", c.relname collate "C"
