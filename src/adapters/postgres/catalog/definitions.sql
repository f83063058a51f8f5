-- Objects whose definition is one statement, or a few: each with its key, where a dump would like it, and its comment.
-- What differs between releases is read as JSON, so that a column that is not there is null.
with own_schema as (select n.* from pg_catalog.pg_namespace n where {schema_filter}),
member_of_family as materialized (
  select d.refclassid, d.refobjid, format('OPERATOR %s %s%s', o.amopstrategy, o.amopopr::regoperator,
      (select format(' FOR ORDER BY %I.%I', n.nspname, f.opfname) from pg_catalog.pg_opfamily f join pg_catalog.pg_namespace n on n.oid = f.opfnamespace where f.oid = o.amopsortfamily)) as item
  from pg_catalog.pg_amop o join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_amop'::regclass and d.objid = o.oid
  where o.oid >= 16384 and d.refclassid in ('pg_catalog.pg_opclass'::regclass, 'pg_catalog.pg_opfamily'::regclass)
  union all
  select d.refclassid, d.refobjid, format('FUNCTION %s (%s, %s) %s', p.amprocnum, format_type(p.amproclefttype, null), format_type(p.amprocrighttype, null), p.amproc::oid::regprocedure)
  from pg_catalog.pg_amproc p join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_amproc'::regclass and d.objid = p.oid
  where p.oid >= 16384 and d.refclassid in ('pg_catalog.pg_opclass'::regclass, 'pg_catalog.pg_opfamily'::regclass)
)
select json_build_object('key', key, 'group', place, 'object', object, 'sql', sql, 'comment', comment)::text from (
  select 'l' || t.oid as key, 2 as place, format('COLLATION %I.%I', n.nspname, t.collname) as object,
    format('CREATE COLLATION %I.%I (%s);', n.nspname, t.collname, concat_ws(', ',
      'provider = ' || case t.collprovider when 'i' then 'icu' when 'c' then 'libc' when 'b' then 'builtin' else 'default' end,
      case when not t.collisdeterministic then 'deterministic = false' end,
      case when t.collprovider = 'c' then format('lc_collate = %L, lc_ctype = %L', j ->> 'collcollate', j ->> 'collctype')
        else 'locale = ' || quote_literal(coalesce(j ->> 'colllocale', j ->> 'colliculocale', j ->> 'collcollate')) end,
      'rules = ' || quote_literal(j ->> 'collicurules'))) as sql,
    obj_description(t.oid, 'pg_collation') as comment
  from pg_catalog.pg_collation t join own_schema n on n.oid = t.collnamespace cross join lateral to_jsonb(t) j where {no_member:pg_collation:t.oid}
  union all
  select 'W' || t.oid, 2, format('FOREIGN DATA WRAPPER %I', t.fdwname),
    format('CREATE FOREIGN DATA WRAPPER %I', t.fdwname)
      || coalesce(' HANDLER ' || nullif(t.fdwhandler::oid, 0)::regproc, '') || coalesce(' VALIDATOR ' || nullif(t.fdwvalidator::oid, 0)::regproc, '')
      || coalesce((select ' OPTIONS (' || string_agg(format('%I %L', option_name, option_value), ', ' order by option_name) || ')'
          from pg_options_to_table(t.fdwoptions)), '') || ';', obj_description(t.oid, 'pg_foreign_data_wrapper')
  from pg_catalog.pg_foreign_data_wrapper t where {no_member:pg_foreign_data_wrapper:t.oid}
  union all
  select 'k' || t.oid, 4, object, format('CREATE %s WITH%s%s;', object,
      case t.castmethod when 'i' then ' INOUT' when 'b' then 'OUT FUNCTION' else ' FUNCTION ' || t.castfunc::regprocedure end,
      case t.castcontext when 'a' then ' AS ASSIGNMENT' when 'i' then ' AS IMPLICIT' end), obj_description(t.oid, 'pg_cast')
  from pg_catalog.pg_cast t
    cross join lateral format('CAST (%s AS %s)', format_type(t.castsource, null), format_type(t.casttarget, null)) object
  where t.oid >= 16384 and {no_member:pg_cast:t.oid}
    and not exists (select from pg_catalog.pg_depend i where i.classid = 'pg_catalog.pg_cast'::regclass and i.objid = t.oid and i.deptype = 'i')
  union all
  select 'x' || t.oid, 4, format('OPERATOR %I.%s (%s, %s)', n.nspname, t.oprname,
      coalesce(format_type(nullif(t.oprleft, 0), null), 'NONE'), coalesce(format_type(nullif(t.oprright, 0), null), 'NONE')),
    format('CREATE OPERATOR %I.%s (%s);', n.nspname, t.oprname, concat_ws(', ', 'FUNCTION = ' || t.oprcode,
      'LEFTARG = ' || format_type(nullif(t.oprleft, 0), null), 'RIGHTARG = ' || format_type(nullif(t.oprright, 0), null),
      (select format('COMMUTATOR = OPERATOR(%I.%s)', m.nspname, o.oprname) from pg_catalog.pg_operator o
        join pg_catalog.pg_namespace m on m.oid = o.oprnamespace where o.oid = t.oprcom),
      (select format('NEGATOR = OPERATOR(%I.%s)', m.nspname, o.oprname) from pg_catalog.pg_operator o
        join pg_catalog.pg_namespace m on m.oid = o.oprnamespace where o.oid = t.oprnegate),
      case when t.oprcanmerge then 'MERGES' end, case when t.oprcanhash then 'HASHES' end,
      'RESTRICT = ' || nullif(t.oprrest::oid, 0)::regproc, 'JOIN = ' || nullif(t.oprjoin::oid, 0)::regproc)),
    obj_description(t.oid, 'pg_operator')
  -- One that only another one's commutator names has no function.
  from pg_catalog.pg_operator t join own_schema n on n.oid = t.oprnamespace where t.oprcode <> 0 and {no_member:pg_operator:t.oid}
  union all
  select 'f' || t.oid, 4, 'AGGREGATE ' || signature, format('CREATE AGGREGATE %s (%s);', signature, concat_ws(', ',
      'SFUNC = ' || a.aggtransfn, 'STYPE = ' || format_type(a.aggtranstype, null), 'SSPACE = ' || nullif(a.aggtransspace, 0),
      'INITCOND = ' || quote_literal(a.agginitval), 'FINALFUNC = ' || nullif(a.aggfinalfn::oid, 0)::regproc,
      case when a.aggfinalextra then 'FINALFUNC_EXTRA' end, 'FINALFUNC_MODIFY = ' || modify.final,
      'COMBINEFUNC = ' || nullif(a.aggcombinefn::oid, 0)::regproc, 'SERIALFUNC = ' || nullif(a.aggserialfn::oid, 0)::regproc,
      'DESERIALFUNC = ' || nullif(a.aggdeserialfn::oid, 0)::regproc, 'MSFUNC = ' || nullif(a.aggmtransfn::oid, 0)::regproc,
      'MINVFUNC = ' || nullif(a.aggminvtransfn::oid, 0)::regproc, 'MSTYPE = ' || format_type(nullif(a.aggmtranstype, 0), null),
      'MSSPACE = ' || nullif(a.aggmtransspace, 0), 'MINITCOND = ' || quote_literal(a.aggminitval),
      'MFINALFUNC = ' || nullif(a.aggmfinalfn::oid, 0)::regproc, case when a.aggmfinalextra then 'MFINALFUNC_EXTRA' end,
      'MFINALFUNC_MODIFY = ' || modify.moving,
      (select format('SORTOP = OPERATOR(%I.%s)', m.nspname, o.oprname) from pg_catalog.pg_operator o
        join pg_catalog.pg_namespace m on m.oid = o.oprnamespace where o.oid = a.aggsortop),
      case t.proparallel when 's' then 'PARALLEL = SAFE' when 'r' then 'PARALLEL = RESTRICTED' end,
      case when a.aggkind = 'h' then 'HYPOTHETICAL' end)), obj_description(t.oid, 'pg_proc')
  from pg_catalog.pg_proc t join own_schema n on n.oid = t.pronamespace join pg_catalog.pg_aggregate a on a.aggfnoid = t.oid
    cross join lateral format('%I.%I(%s)', n.nspname, t.proname, coalesce(nullif(pg_get_function_identity_arguments(t.oid), ''), '*')) signature
    -- Only where it is not what the kind of aggregate has by itself (PostgreSQL documentation, "CREATE AGGREGATE").
    cross join lateral (select
      case when a.aggfinalfn <> 0 and a.aggfinalmodify <> usual then case a.aggfinalmodify when 'r' then 'READ_ONLY' when 's' then 'SHAREABLE' else 'READ_WRITE' end end as final,
      case when a.aggmfinalfn <> 0 and a.aggmfinalmodify <> usual then case a.aggmfinalmodify when 'r' then 'READ_ONLY' when 's' then 'SHAREABLE' else 'READ_WRITE' end end as moving
      from (select case when a.aggkind = 'n' then 'r' else 'w' end as usual) u) modify
  where {no_member:pg_proc:t.oid}
  union all
  select 'h' || t.oid, 4, format('CONVERSION %I.%I', n.nspname, t.conname),
    format('CREATE %sCONVERSION %I.%I FOR %L TO %L FROM %s;', case when t.condefault then 'DEFAULT ' end, n.nspname, t.conname,
      pg_encoding_to_char(t.conforencoding), pg_encoding_to_char(t.contoencoding), t.conproc), obj_description(t.oid, 'pg_conversion')
  from pg_catalog.pg_conversion t join own_schema n on n.oid = t.connamespace where {no_member:pg_conversion:t.oid}
  union all
  select 'd' || t.oid, 4, format('TEXT SEARCH DICTIONARY %I.%I', n.nspname, t.dictname),
    format('CREATE TEXT SEARCH DICTIONARY %I.%I (TEMPLATE = %I.%I%s);', n.nspname, t.dictname, m.nspname, p.tmplname, ', ' || t.dictinitoption),
    obj_description(t.oid, 'pg_ts_dict')
  from pg_catalog.pg_ts_dict t join own_schema n on n.oid = t.dictnamespace join pg_catalog.pg_ts_template p on p.oid = t.dicttemplate
    join pg_catalog.pg_namespace m on m.oid = p.tmplnamespace where {no_member:pg_ts_dict:t.oid}
  union all
  select 'i' || t.oid, 4, format('TEXT SEARCH CONFIGURATION %I.%I', n.nspname, t.cfgname),
    format('CREATE TEXT SEARCH CONFIGURATION %I.%I (PARSER = %I.%I);', n.nspname, t.cfgname, m.nspname, p.prsname)
      || coalesce((select string_agg(format(E'\nALTER TEXT SEARCH CONFIGURATION %I.%I ADD MAPPING FOR %I WITH %s;', n.nspname, t.cfgname, alias, dictionaries), '' order by alias)
        from (select k.alias, string_agg(c.mapdict::regdictionary::text, ', ' order by c.mapseqno) as dictionaries
          from pg_catalog.pg_ts_config_map c join ts_token_type(t.cfgparser) k on k.tokid = c.maptokentype where c.mapcfg = t.oid group by k.alias) maps), ''),
    obj_description(t.oid, 'pg_ts_config')
  from pg_catalog.pg_ts_config t join own_schema n on n.oid = t.cfgnamespace join pg_catalog.pg_ts_parser p on p.oid = t.cfgparser
    join pg_catalog.pg_namespace m on m.oid = p.prsnamespace where {no_member:pg_ts_config:t.oid}
  union all
  select 'v' || t.oid, 11, format('EVENT TRIGGER %I', t.evtname),
    format('CREATE EVENT TRIGGER %I ON %s%s EXECUTE FUNCTION %s();', t.evtname, t.evtevent,
      (select ' WHEN TAG IN (' || string_agg(quote_literal(tag), ', ' order by at) || ')' from unnest(t.evttags) with ordinality tags (tag, at)), t.evtfoid::regproc)
      || case t.evtenabled when 'O' then '' else format(E'\nALTER EVENT TRIGGER %I %s;', t.evtname,
        case t.evtenabled when 'D' then 'DISABLE' when 'R' then 'ENABLE REPLICA' else 'ENABLE ALWAYS' end) end,
    obj_description(t.oid, 'pg_event_trigger')
  from pg_catalog.pg_event_trigger t where {no_member:pg_event_trigger:t.oid}
  union all
  select 'A' || t.oid, 5, format('ACCESS METHOD %I', t.amname), format('CREATE ACCESS METHOD %I TYPE %s HANDLER %s;', t.amname,
      case t.amtype when 'i' then 'INDEX' else 'TABLE' end, t.amhandler), obj_description(t.oid, 'pg_am')
  from pg_catalog.pg_am t where t.oid >= 16384 and {no_member:pg_am:t.oid}
  union all
  select 'L' || t.oid, 2, format('LANGUAGE %I', t.lanname), format('CREATE %sLANGUAGE %I HANDLER %s%s%s;', case when t.lanpltrusted then 'TRUSTED ' end,
      t.lanname, t.lanplcallfoid::regproc, ' INLINE ' || nullif(t.laninline, 0)::regproc, ' VALIDATOR ' || nullif(t.lanvalidator, 0)::regproc), obj_description(t.oid, 'pg_language')
  from pg_catalog.pg_language t where t.oid >= 16384 and t.lanispl and {no_member:pg_language:t.oid}
  union all
  select 'X' || t.oid, 4, object, format('CREATE %s (%s);', object, concat_ws(', ', 'FROM SQL WITH FUNCTION ' || nullif(t.trffromsql::oid, 0)::regprocedure,
      'TO SQL WITH FUNCTION ' || nullif(t.trftosql::oid, 0)::regprocedure)), obj_description(t.oid, 'pg_transform')
  from pg_catalog.pg_transform t join pg_catalog.pg_language l on l.oid = t.trflang
    cross join lateral format('TRANSFORM FOR %s LANGUAGE %I', format_type(t.trftype, null), l.lanname) object where {no_member:pg_transform:t.oid}
  union all
  select 'P' || t.oid, 4, format('TEXT SEARCH PARSER %I.%I', n.nspname, t.prsname), format('CREATE TEXT SEARCH PARSER %I.%I (%s);', n.nspname, t.prsname, concat_ws(', ',
      'START = ' || t.prsstart, 'GETTOKEN = ' || t.prstoken, 'END = ' || t.prsend, 'HEADLINE = ' || nullif(t.prsheadline::oid, 0)::regproc, 'LEXTYPES = ' || t.prslextype)),
    obj_description(t.oid, 'pg_ts_parser')
  from pg_catalog.pg_ts_parser t join own_schema n on n.oid = t.prsnamespace where {no_member:pg_ts_parser:t.oid}
  union all
  select 'T' || t.oid, 4, format('TEXT SEARCH TEMPLATE %I.%I', n.nspname, t.tmplname), format('CREATE TEXT SEARCH TEMPLATE %I.%I (%s);', n.nspname, t.tmplname,
      concat_ws(', ', 'INIT = ' || nullif(t.tmplinit::oid, 0)::regproc, 'LEXIZE = ' || t.tmpllexize)), obj_description(t.oid, 'pg_ts_template')
  from pg_catalog.pg_ts_template t join own_schema n on n.oid = t.tmplnamespace where {no_member:pg_ts_template:t.oid}
  union all
  -- Base types, and types that were only announced.
  select 't' || t.oid, 3, 'TYPE ' || format_type(t.oid, null), case when not t.typisdefined then format('CREATE TYPE %s;', format_type(t.oid, null)) else
    format('CREATE TYPE %s (%s);', format_type(t.oid, null), concat_ws(', ',
      'INPUT = ' || t.typinput, 'OUTPUT = ' || t.typoutput, 'RECEIVE = ' || nullif(t.typreceive::oid, 0)::regproc, 'SEND = ' || nullif(t.typsend::oid, 0)::regproc,
      'TYPMOD_IN = ' || nullif(t.typmodin::oid, 0)::regproc, 'TYPMOD_OUT = ' || nullif(t.typmodout::oid, 0)::regproc, 'ANALYZE = ' || nullif(t.typanalyze::oid, 0)::regproc,
      'SUBSCRIPT = ' || nullif(t.typsubscript::oid, 0)::regproc, 'INTERNALLENGTH = ' || case when t.typlen = -1 then 'variable' else t.typlen::text end,
      case when t.typbyval then 'PASSEDBYVALUE' end, 'ALIGNMENT = ' || case t.typalign when 'c' then 'char' when 's' then 'int2' when 'i' then 'int4' else 'double' end,
      'STORAGE = ' || case t.typstorage when 'p' then 'plain' when 'e' then 'external' when 'x' then 'extended' else 'main' end,
      'CATEGORY = ' || quote_literal(t.typcategory::text), case when t.typispreferred then 'PREFERRED = true' end, 'DEFAULT = ' || quote_literal(t.typdefault),
      'ELEMENT = ' || format_type(nullif(t.typelem, 0), null), 'DELIMITER = ' || quote_literal(t.typdelim::text), case when t.typcollation <> 0 then 'COLLATABLE = true' end)) end,
    obj_description(t.oid, 'pg_type')
  from pg_catalog.pg_type t join own_schema n on n.oid = t.typnamespace
  where (t.typtype = 'b' and not exists (select from pg_catalog.pg_type e where e.typarray = t.oid) or t.typtype = 'p' and not t.typisdefined) and {no_member:pg_type:t.oid}
  union all
  -- A family with the user's classes in it; the family itself may be the system's or an extension's.
  select 'F' || t.oid, 4, format('OPERATOR FAMILY %I.%I USING %I', n.nspname, t.opfname, m.amname), concat_ws(E'\n',
      case when is_own then format('CREATE OPERATOR FAMILY %I.%I USING %I;', n.nspname, t.opfname, m.amname) end,
      (select string_agg(format(E'CREATE OPERATOR CLASS %I.%I%s FOR TYPE %s USING %I FAMILY %I.%I AS\n    %s;%s', s.nspname, c.opcname,
          case when c.opcdefault then ' DEFAULT' end, format_type(c.opcintype, null), m.amname, n.nspname, t.opfname,
          case when c.opckeytype <> 0 or i.items is null then concat_ws(E',\n    ', 'STORAGE ' || format_type(coalesce(nullif(c.opckeytype, 0), c.opcintype), null), i.items) else i.items end,
          E'\nCOMMENT ON OPERATOR CLASS ' || format('%I.%I USING %I IS %L;', s.nspname, c.opcname, m.amname, obj_description(c.oid, 'pg_opclass'))), E'\n' order by s.nspname, c.opcname)
        from pg_catalog.pg_opclass c join own_schema s on s.oid = c.opcnamespace
          left join lateral (select string_agg(item, E',\n    ' order by item) as items from member_of_family i
            where i.refclassid = 'pg_catalog.pg_opclass'::regclass and i.refobjid = c.oid) i on true
        where c.opcfamily = t.oid and {no_member:pg_opclass:c.oid}),
      (select format(E'ALTER OPERATOR FAMILY %I.%I USING %I ADD\n    %s;', n.nspname, t.opfname, m.amname, string_agg(item, E',\n    ' order by item))
        from member_of_family i where is_own and i.refclassid = 'pg_catalog.pg_opfamily'::regclass and i.refobjid = t.oid having count(*) > 0)),
    case when is_own then obj_description(t.oid, 'pg_opfamily') end
  from pg_catalog.pg_opfamily t join pg_catalog.pg_namespace n on n.oid = t.opfnamespace join pg_catalog.pg_am m on m.oid = t.opfmethod
    cross join lateral (select t.opfnamespace in (select oid from own_schema) and {no_member:pg_opfamily:t.oid} as is_own) is_own
  where is_own or exists (select from pg_catalog.pg_opclass c join own_schema s on s.oid = c.opcnamespace where c.opcfamily = t.oid and {no_member:pg_opclass:c.oid})
  union all
  -- What differs is not in every release: a name without a table in front finds the empty column where the catalog has none.
  select 'B' || t.oid, 9, format('PUBLICATION %I', t.pubname), format('CREATE PUBLICATION %I%s WITH (%s);', t.pubname, case when t.puballtables then ' FOR ALL TABLES' end,
      concat_ws(', ', format('publish = %L', concat_ws(', ', case when t.pubinsert then 'insert' end, case when t.pubupdate then 'update' end,
        case when t.pubdelete then 'delete' end, case when t.pubtruncate then 'truncate' end)), case when t.pubviaroot then 'publish_via_partition_root = true' end,
        case when to_jsonb(t) ->> 'pubgencols' = 's' then 'publish_generated_columns = stored' end))
      || coalesce((select string_agg(format(E'\nALTER PUBLICATION %I ADD TABLE ONLY %s%s%s;', t.pubname, r.prrelid::regclass, ' (' || columns || ')', ' WHERE (' || condition || ')'), '' order by r.prrelid::regclass::text)
        from pg_catalog.pg_publication_rel r cross join (select null::int2vector as prattrs, null::pg_node_tree as prqual) absent
          cross join lateral (select (select pg_get_expr(prqual, k.prrelid) from pg_catalog.pg_publication_rel k where k.oid = r.oid) as condition) conditions
          cross join lateral (select string_agg(quote_ident(a.attname), ', ' order by a.attnum) as columns from pg_catalog.pg_attribute a
            where a.attrelid = r.prrelid and a.attnum = any ((select prattrs from pg_catalog.pg_publication_rel k where k.oid = r.oid)::int2[])) columns
        where r.prpubid = t.oid), '')
      -- The catalog of published schemas is known by its dependencies: PostgreSQL 14 has none.
      || coalesce((select string_agg(format(E'\nALTER PUBLICATION %I ADD TABLES IN SCHEMA %I;', t.pubname, n.nspname), '' order by n.nspname)
        from pg_catalog.pg_depend p join pg_catalog.pg_depend s on s.classid = p.classid and s.objid = p.objid and s.refclassid = 'pg_catalog.pg_namespace'::regclass
          join pg_catalog.pg_namespace n on n.oid = s.refobjid
        where p.classid = to_regclass('pg_catalog.pg_publication_namespace') and p.refclassid = 'pg_catalog.pg_publication'::regclass and p.refobjid = t.oid), ''),
    obj_description(t.oid, 'pg_publication')
  from pg_catalog.pg_publication t
  union all
  select 'U' || t.umid, 3, object, format('CREATE %s%s;', object, (select ' OPTIONS (' || string_agg(format('%I %L', option_name, option_value), ', ' order by option_name) || ')'
      from pg_options_to_table(t.umoptions))), null
  from pg_catalog.pg_user_mappings t
    cross join lateral format('USER MAPPING FOR %s SERVER %I', case when t.umuser = 0 then 'PUBLIC' else quote_ident(t.usename) end, t.srvname) object
  where not exists (select from pg_options_to_table(t.umoptions) where option_name ~* 'pass|pwd|secret|token|key')
  union all
  select 'y' || d.objid || '_' || d.refobjid, 10, object, format('%s;', object), null
  from pg_catalog.pg_depend d join pg_catalog.pg_extension e on e.oid = d.refobjid
    cross join lateral pg_identify_object(d.classid, d.objid, d.objsubid) i
    cross join lateral format('ALTER %s %s DEPENDS ON EXTENSION %I', upper(i.type), i.identity, e.extname) object
  where d.deptype = 'x' and d.refclassid = 'pg_catalog.pg_extension'::regclass
) definitions order by place, object collate "C"
