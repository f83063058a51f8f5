create extension postgres_fdw;
create schema app;

create collation app.german (provider = icu, locale = 'de-u-co-phonebk');
comment on collation app.german is 'as in the phone book';
create collation "Any Case" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create collation posix (lc_collate = 'C', lc_ctype = 'POSIX');
create domain app.title as text collate "Any Case";
create table app.words (word text collate app.german primary key, title app.title, body text, search tsvector);

create type app.level as enum ('low', 'high');
create type app.pair as (a integer, b integer);
create function app.level_number(app.level) returns integer language sql immutable strict as 'select case $1 when ''low'' then 1 else 2 end';
create cast (app.level as integer) with function app.level_number(app.level) as assignment;
create cast (text as app.level) with inout as implicit;
comment on cast (app.level as integer) is 'for sums';
create function app.same(app.pair, app.pair) returns boolean language sql immutable as 'select ($1).a = ($2).a';
create operator app.=== (leftarg = app.pair, rightarg = app.pair, function = app.same, commutator = operator(app.===), negator = operator(app.!==), restrict = eqsel, join = eqjoinsel, hashes);
create operator app.!== (leftarg = app.pair, rightarg = app.pair, function = app.same, negator = operator(app.===));
create operator app.### (rightarg = app.level, function = app.level_number);
comment on operator app.=== (app.pair, app.pair) is 'by the first';
create index pairs_by_operator on app.words (((1, 2)::app.pair operator(app.===) (1, length(word))::app.pair));

create function app.join_step(text, text) returns text language sql immutable as 'select coalesce($1 || ''-'', '''') || $2';
create function app.join_end(text) returns text language sql immutable as 'select ''<'' || $1 || ''>''';
create aggregate app.chain(text) (sfunc = app.join_step, stype = text, finalfunc = app.join_end, initcond = 'it''s', parallel = safe);
comment on aggregate app.chain(text) is 'with dashes';
create aggregate app.average(float8) (sfunc = float8_accum, stype = float8[], finalfunc = float8_avg, combinefunc = float8_combine, initcond = '{0,0,0}', sspace = 64,
  msfunc = float8_accum, minvfunc = float8_accum, mstype = float8[], mfinalfunc = float8_avg, minitcond = '{0,0,0}', finalfunc_modify = shareable);
create aggregate app.rows_of(*) (sfunc = int8inc, stype = int8, initcond = '0');
create aggregate app.smallest(integer) (sfunc = int4smaller, stype = integer, sortop = <);
create aggregate app.middle(float8 order by anyelement) (sfunc = ordered_set_transition, stype = internal, finalfunc = percentile_disc_final, finalfunc_extra);
create aggregate app.place(variadic "any" order by variadic "any") (sfunc = ordered_set_transition_multi, stype = internal, finalfunc = rank_final, finalfunc_extra, hypothetical);
create function app.step(text, text, integer[]) returns text language sql as 'select $1';
create aggregate app.texts(text, variadic integer[]) (sfunc = app.step, stype = text);
create view app.chains as select title, app.chain(word) from app.words group by title;

create text search dictionary app.simple_german (template = simple, stopwords = german, accept = false);
comment on text search dictionary app.simple_german is 'short';
create text search configuration app.de (copy = german);
alter text search configuration app.de alter mapping for asciiword, word with app.simple_german, german_stem;
alter text search configuration app.de drop mapping for email;
comment on text search configuration app.de is 'our words';
create text search configuration app.empty (parser = "default");
alter table app.words alter search set default to_tsvector('app.de', 'das Haus');
create index words_search on app.words using gin (to_tsvector('app.de', body));

create function app.on_change() returns event_trigger language plpgsql as 'begin end';
create event trigger watch_all on ddl_command_end execute function app.on_change();
create event trigger "Watch some" on sql_drop when tag in ('DROP TABLE', 'DROP VIEW') execute function app.on_change();
alter event trigger "Watch some" disable;
alter event trigger watch_all enable always;
comment on event trigger watch_all is 'who did it';

create table app.log (id bigint primary key, at date, secret text) with (fillfactor = 90, toast.autovacuum_enabled = false);
create foreign data wrapper files options (debug 'true', "Mixed" 'x');
create foreign data wrapper handled handler postgres_fdw_handler validator postgres_fdw_validator;
comment on foreign data wrapper files is 'home made';
create server local_files type 'csv' version '2' foreign data wrapper files options (folder '/srv');
create default conversion app.latin for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
create conversion app.latin_back for 'UTF8' to 'LATIN1' from utf8_to_iso8859_1;
comment on conversion app.latin is 'old files';
