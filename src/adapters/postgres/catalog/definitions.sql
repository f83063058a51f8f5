-- Objects whose definition is one statement, or a few: each with its key, where a dump would like it, and its comment.
-- What differs between releases is read as JSON, so that a column that is not there is null.
with own_schema as (select n.* from pg_catalog.pg_namespace n where {schema_filter})
select json_build_object('key', key, 'group', place, 'object', object, 'sql', sql, 'comment', comment)::text from (
  select 'l' || t.oid as key, 2 as place, format('COLLATION %I.%I', n.nspname, t.collname) as object,
    format('CREATE COLLATION %I.%I (%s);', n.nspname, t.collname, concat_ws(', ',
      'provider = ' || case t.collprovider when 'i' then 'icu' when 'c' then 'libc' when 'b' then 'builtin' else 'default' end,
      case when not t.collisdeterministic then 'deterministic = false' end,
      case when t.collprovider = 'c' then format('lc_collate = %L, lc_ctype = %L', j ->> 'collcollate', j ->> 'collctype')
        else 'locale = ' || quote_literal(coalesce(j ->> 'colllocale', j ->> 'colliculocale', j ->> 'collcollate')) end,
      'rules = ' || quote_literal(j ->> 'collicurules'))) as sql,
    obj_description(t.oid, 'pg_collation') as comment
  from pg_catalog.pg_collation t join own_schema n on n.oid = t.collnamespace cross join lateral to_jsonb(t) j where {member:pg_collation}
  union all
  select 'W' || t.oid, 2, format('FOREIGN DATA WRAPPER %I', t.fdwname),
    format('CREATE FOREIGN DATA WRAPPER %I', t.fdwname)
      || coalesce(' HANDLER ' || nullif(t.fdwhandler::oid, 0)::regproc, '') || coalesce(' VALIDATOR ' || nullif(t.fdwvalidator::oid, 0)::regproc, '')
      || coalesce((select ' OPTIONS (' || string_agg(format('%I %L', option_name, option_value), ', ' order by option_name) || ')'
          from pg_options_to_table(t.fdwoptions)), '') || ';', obj_description(t.oid, 'pg_foreign_data_wrapper')
  from pg_catalog.pg_foreign_data_wrapper t where {member:pg_foreign_data_wrapper}
  union all
  select 'k' || t.oid, 4, object, format('CREATE %s WITH%s%s;', object,
      case t.castmethod when 'i' then ' INOUT' when 'b' then 'OUT FUNCTION' else ' FUNCTION ' || t.castfunc::regprocedure end,
      case t.castcontext when 'a' then ' AS ASSIGNMENT' when 'i' then ' AS IMPLICIT' end), obj_description(t.oid, 'pg_cast')
  from pg_catalog.pg_cast t
    cross join lateral format('CAST (%s AS %s)', format_type(t.castsource, null), format_type(t.casttarget, null)) object
  where t.oid >= 16384 and {member:pg_cast}
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
  from pg_catalog.pg_operator t join own_schema n on n.oid = t.oprnamespace where t.oprcode <> 0 and {member:pg_operator}
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
  where {member:pg_proc}
  union all
  select 'h' || t.oid, 4, format('CONVERSION %I.%I', n.nspname, t.conname),
    format('CREATE %sCONVERSION %I.%I FOR %L TO %L FROM %s;', case when t.condefault then 'DEFAULT ' end, n.nspname, t.conname,
      pg_encoding_to_char(t.conforencoding), pg_encoding_to_char(t.contoencoding), t.conproc), obj_description(t.oid, 'pg_conversion')
  from pg_catalog.pg_conversion t join own_schema n on n.oid = t.connamespace where {member:pg_conversion}
  union all
  select 'd' || t.oid, 4, format('TEXT SEARCH DICTIONARY %I.%I', n.nspname, t.dictname),
    format('CREATE TEXT SEARCH DICTIONARY %I.%I (TEMPLATE = %I.%I%s);', n.nspname, t.dictname, m.nspname, p.tmplname, ', ' || t.dictinitoption),
    obj_description(t.oid, 'pg_ts_dict')
  from pg_catalog.pg_ts_dict t join own_schema n on n.oid = t.dictnamespace join pg_catalog.pg_ts_template p on p.oid = t.dicttemplate
    join pg_catalog.pg_namespace m on m.oid = p.tmplnamespace where {member:pg_ts_dict}
  union all
  select 'i' || t.oid, 4, format('TEXT SEARCH CONFIGURATION %I.%I', n.nspname, t.cfgname),
    format('CREATE TEXT SEARCH CONFIGURATION %I.%I (PARSER = %I.%I);', n.nspname, t.cfgname, m.nspname, p.prsname)
      || coalesce((select string_agg(format(E'\nALTER TEXT SEARCH CONFIGURATION %I.%I ADD MAPPING FOR %I WITH %s;', n.nspname, t.cfgname, alias, dictionaries), '' order by alias)
        from (select k.alias, string_agg(c.mapdict::regdictionary::text, ', ' order by c.mapseqno) as dictionaries
          from pg_catalog.pg_ts_config_map c join ts_token_type(t.cfgparser) k on k.tokid = c.maptokentype where c.mapcfg = t.oid group by k.alias) maps), ''),
    obj_description(t.oid, 'pg_ts_config')
  from pg_catalog.pg_ts_config t join own_schema n on n.oid = t.cfgnamespace join pg_catalog.pg_ts_parser p on p.oid = t.cfgparser
    join pg_catalog.pg_namespace m on m.oid = p.prsnamespace where {member:pg_ts_config}
  union all
  select 'v' || t.oid, 9, format('EVENT TRIGGER %I', t.evtname),
    format('CREATE EVENT TRIGGER %I ON %s%s EXECUTE FUNCTION %s();', t.evtname, t.evtevent,
      (select ' WHEN TAG IN (' || string_agg(quote_literal(tag), ', ' order by tag) || ')' from unnest(t.evttags) tag), t.evtfoid::regproc)
      || case t.evtenabled when 'O' then '' else format(E'\nALTER EVENT TRIGGER %I %s;', t.evtname,
        case t.evtenabled when 'D' then 'DISABLE' when 'R' then 'ENABLE REPLICA' else 'ENABLE ALWAYS' end) end,
    obj_description(t.oid, 'pg_event_trigger')
  from pg_catalog.pg_event_trigger t where {member:pg_event_trigger}
) definitions order by place, object collate "C"
