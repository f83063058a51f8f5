-- One case a paragraph; where the dump must be refused, behind the arrow stands what it says.

=== trigger state
create function tf() returns trigger language plpgsql as 'begin return new; end';
create table p (id int, k int) partition by range (id);
create table p1 partition of p for values from (0) to (10) partition by list (k);
create table p11 partition of p1 for values in (1);
create table p12 partition of p1 for values in (2);
create table p2 partition of p for values from (10) to (20);
create trigger tg after insert on p for each row execute function tf();
create trigger tg2 after insert on p for each row execute function tf();
create trigger tg3 before insert on p for each row execute function tf();
alter table p1 disable trigger tg;
alter table p11 enable always trigger tg;
alter table p12 enable replica trigger tg;
alter table p disable trigger tg2;
alter table p2 enable trigger tg2;
alter table p enable always trigger tg3;
alter table p12 disable trigger tg3;
comment on trigger tg on p11 is 'own words';
=== rules on children
create table p (id int); create table c () inherits (p);
create rule r as on delete to p do nothing; create rule r as on delete to c do nothing;
alter table c disable rule r; alter table p enable always rule r;
=== partition differences
create table p (id int not null default 1, t text default 'x', u text) partition by range (id);
create table p1 (u text, gone int, t text default 'y' not null, id int not null);
alter table p1 drop column gone;
alter table p attach partition p1 for values from (0) to (10);
create table p2 partition of p for values from (10) to (20);
alter table p2 alter t drop default; alter table p2 alter t set not null; alter table p2 alter u set storage external; alter table p2 alter t set compression pglz; alter table p2 alter t set statistics 33; alter table p2 alter id set (n_distinct = 5);
alter table p2 replica identity full; alter table p1 replica identity nothing;
create unique index pi on p (id); alter table p replica identity using index pi;
comment on index p2_id_idx is 'own'; comment on column p2.u is 'own'; 
alter table p add constraint k check (id > -5); comment on constraint k on p1 is 'mine'; comment on constraint k on p is 'his';
=== not valid on parent
create table p (id int, v int) partition by range (id); create table p1 partition of p for values from (0) to (10) partition by range (v); create table p11 partition of p1 for values from (0) to (5);
alter table p add constraint pos check (v > 0) not valid;
create table a (id int); create table b () inherits (a); create table c (x int) inherits (b);
alter table a add constraint apos check (id > 0) not valid;
alter table c validate constraint apos;
alter table only a add constraint lonely check (id > 1) no inherit not valid;
create table d (id int, constraint apos check (id > 0), constraint apos2 check (id > 0)); alter table a add constraint apos2 check (id > 0) not valid; alter table d inherit a;
create table e (id int, constraint apos check (id > 0), constraint apos2 check (id > 0)); alter table e add constraint own check (id > 3) not valid; alter table e inherit a;
comment on constraint apos on a is 'later';
=== not valid partition validated alone
create table p (id int, v int) partition by range (id); create table p1 partition of p for values from (0) to (10); 
alter table p add constraint pos check (v > 0) not valid; alter table p1 validate constraint pos;
=== domain not valid
create domain mail as text; create table t (m mail); create domain mail2 as mail; alter domain mail add constraint at_sign check (value ~ '@') not valid; comment on constraint at_sign on domain mail is 'c';
create domain b as int default 5 not null constraint ok check (value > 0); alter domain b add constraint nv check (value < 100) not valid;
=== domain default renamed function
create function f() returns int language sql as 'select 1'; create domain d as int default f(); create schema x; alter function f() set schema x; alter function x.f() rename to g;
=== domain ring
create domain d as int; create function okd(d) returns boolean language sql immutable as 'select true'; alter domain d add constraint k check (okd(value)); comment on constraint k on domain d is 'ring'; create table t (a d);
=== default ring
create table t (id int, n int); create function cnt() returns bigint language sql begin atomic select count(*) from t; end; alter table t alter n set default cnt();
alter table t add constraint few check (cnt() < 10); comment on constraint few on t is 'x';
=== default ring row
create table t (id int, n int); create function rowf(t) returns int language sql immutable as 'select 1'; alter table t add constraint few check (rowf(row(1, n)::t) < 10);
create table t2 (like t including all) ;
create table q (id int, n int) partition by list (id); create table q1 partition of q for values in (1); create function qf(q) returns int language sql immutable as 'select 1'; 
create function q1f(q1) returns int language sql immutable as 'select 1'; create function cq1() returns bigint language sql begin atomic select count(*) from q1; end;
alter table q add constraint ck check (cq1() < 10); alter table q alter n set default cq1(); 
=== inherit ring
create table a (id int, n int); create function ca() returns bigint language sql begin atomic select count(*) from a; end; create table b (x int) inherits (a); alter table a alter n set default ca(); alter table a add constraint k check (ca() < 5); create table c (n int default 7) inherits (a);
=== view ring
create view v as select 1 as a, 'x'::text collate "C" as b, 1.5::numeric(5,2) as c; create function fv() returns setof v language sql as 'select 1, ''x'', 1.5::numeric(5,2)'; create or replace view v as select a, b, c::numeric(5,2) as c from fv(); alter view v alter a set default 5; comment on view v is 'x'; comment on column v.a is 'col'; create view w as select * from v; create table t (x v);
create view va with (security_barrier) as select 1 as a; create view vb as select a from va; create or replace view va with (security_barrier) as select a from vb; 
=== range canonical
create type r; create function canon(r) returns r language internal immutable strict as 'int4range_canonical'; create function rdiff(int, int) returns float8 language sql immutable as 'select ($1 - $2)::float8'; create type r as range (subtype = int, canonical = canon, subtype_diff = rdiff, multirange_type_name = mr); create table t (a r, b mr); comment on type r is 'x'; comment on function canon(r) is 'y';
=== base type
create schema app; create type app.b; create function app.b_in(cstring) returns app.b language internal immutable strict as 'int4in'; create function app.b_out(app.b) returns cstring language internal immutable strict as 'int4out';
create type app.b (input = app.b_in, output = app.b_out, like = int4, default = '7', category = 'q', preferred = true, delimiter = ';'); comment on type app.b is 'own int'; create table t (a app.b, c app.b[]); create type lonely; comment on type lonely is 'shell';
create function app.b_eq(app.b, app.b) returns boolean language internal immutable strict as 'int4eq'; create function app.b_cmp(app.b, app.b) returns int language internal immutable strict as 'btint4cmp'; create function app.b_lt(app.b, app.b) returns boolean language internal immutable strict as 'int4lt';
create operator app.= (leftarg = app.b, rightarg = app.b, function = app.b_eq, commutator = operator(app.=), hashes, merges);
create operator app.< (leftarg = app.b, rightarg = app.b, function = app.b_lt);
create operator class app.b_ops default for type app.b using btree as operator 1 app.<, operator 3 app.=, function 1 app.b_cmp(app.b, app.b);
create index on t (a);
create type app.brange as range (subtype = app.b, subtype_opclass = app.b_ops);
create domain app.bd as app.b default '5';
=== opclass
create operator family f using btree; comment on operator family f using btree is 'fam';
create function cmp(int, int) returns int language sql immutable as 'select 0'; create operator class c for type int using btree family f as operator 1 <, operator 3 =, function 1 cmp(int, int), function 2 btint4sortsupport(internal);
alter operator family f using btree add operator 1 < (int, bigint), function 1 (int, bigint) btint48cmp(int, bigint); comment on operator class c using btree is 'cls';
create operator class empty_h for type text using hash as storage text;
create operator class into_builtin for type text using hash family integer_ops as operator 1 =, function 1 hashtext(text);
create operator class dist for type point using gist as operator 15 <->(point, point) for order by float_ops, function 1 gist_point_consistent(internal, point, smallint, oid, internal), storage box;
create operator family fh using hash;
create table t (i int); create index on t (i c);
=== language am transform ts
create language mylang handler plpgsql_call_handler inline plpgsql_inline_handler validator plpgsql_validator; comment on language mylang is 'l';
create trusted language lang2 handler plpgsql_call_handler;
create function lf() returns int language mylang as 'begin return 1; end';
create access method heap2 type table handler heap_tableam_handler; comment on access method heap2 is 'h'; create table t (a int) using heap2 with (fillfactor = 50); create materialized view mv using heap2 as select * from t; create access method bt2 type index handler bthandler;
create access method h2 type index handler hashhandler; create operator class h2ops default for type int using h2 as operator 1 =, function 1 hashint4(int);
create text search parser prs (start = prsd_start, gettoken = prsd_nexttoken, "end" = prsd_end, headline = prsd_headline, lextypes = prsd_lextype); comment on text search parser prs is 'p';
create text search template tm (init = dsimple_init, lexize = dsimple_lexize); comment on text search template tm is 't'; create text search dictionary di (template = tm, stopwords = 'english'); create text search configuration cf (parser = prs); alter text search configuration cf add mapping for word with di;
create function h_to(internal) returns internal language internal as 'array_in'; create function h_from(internal) returns int language internal as 'int4in';
=== transform
create function t_from(internal) returns internal language internal immutable as 'textin'; create function t_to(internal) returns text language internal immutable as 'textin'; create transform for text language plpgsql (from sql with function t_from(internal), to sql with function t_to(internal)); comment on transform for text language plpgsql is 'tr'; create function ut(text) returns text transform for type text language plpgsql as 'begin return 1; end';
=== publications
create table t (a int primary key, b text, "C d" int); create table u (a int) partition by range (a); create schema s; create table s.x (a int);
create publication p1 for all tables; create publication p2 for table t (a, "C d") where (a > 5), u with (publish = 'insert, delete', publish_via_partition_root = true); create publication p3 for tables in schema s; create publication p4; create publication p5 for table t where (true) with (publish = ''); comment on publication p2 is 'pub'; create publication p6 for table only t, table s.x, tables in schema s, public;
=== user mapping
create foreign data wrapper w; create server s foreign data wrapper w; create user mapping for public server s options ("user" 'x'); create user mapping for postgres server s;
=== extension comments
create extension citext; comment on extension citext is 'ours'; create extension hstore; comment on extension hstore is null; create extension pg_trgm;
=== depends on extension
create extension citext; create function f() returns int language sql as 'select 1'; alter function f() depends on extension citext; create table t (a int); create index i on t (a); alter index i depends on extension citext; create materialized view mv as select 1; alter materialized view mv depends on extension citext; create function tf() returns trigger language plpgsql as 'begin return new; end'; create trigger "T g" after insert on t for each row execute function tf(); alter trigger "T g" on t depends on extension citext; create procedure pr() language sql as 'select 1'; alter procedure pr() depends on extension citext;
=== public comment null
comment on schema public is null;
=== public comment
comment on schema public is 'ours';
=== public dropped
drop schema public;
=== identity sequences
create table t (id int generated always as identity, b bigint generated by default as identity (start 5 increment -2 minvalue -100 maxvalue 5 cache 3 cycle), s serial); comment on sequence t_id_seq is 'seq'; alter sequence t_id_seq rename to "Other Seq"; create unlogged table u (id int generated always as identity); alter sequence u_id_seq set logged; create table u2 (id int generated always as identity); alter sequence u2_id_seq set unlogged; create view v as select last_value from "Other Seq"; create table w (x int default nextval('"Other Seq"'));
create unlogged sequence us; create sequence os owned by t.b; create sequence sm as smallint;
=== inherited defaults
create table p (a int default 1, b int not null default 2, c text default 'x', d int); create table c1 (a int, c text default 'y') inherits (p); create table c2 () inherits (p); alter table c2 alter a drop default; alter table c2 alter d set default 4; alter table c2 alter b drop not null; alter table c2 alter d set not null; alter table c1 alter b drop not null;
create table q (a int default 9); create table c3 (a int default 3) inherits (p, q); create table c4 (own int) inherits (c2);
=== inherited storage
create table p (a text, b text compression pglz); alter table p alter a set storage external; create table c () inherits (p); alter table c alter a set storage extended; alter table c alter b set compression default; create table d () inherits (p); alter table d alter a set storage main;
=== conflicting parents -> table public.c (its parents disagree about a column)
create table p (a int); create table q (a int); create table c () inherits (p, q); alter table only p alter a set default 1;
=== dropped columns in parents
create table p (x int, a int, y int, b int); create table c (own int) inherits (p); alter table p drop column x; alter table p add z int; comment on column c.z is 'z'; comment on column c.own is 'own'; alter table c alter z set statistics 5; alter table c alter own set statistics 6;
=== adopted
create table p (a int, b text default 'q', constraint k check (a > 0)); create table c (b text, own int, a int, constraint k check (a > 0)); alter table c inherit p; create table p2 (own int); alter table c inherit p2;
=== adopted mixed -> table public.c (no statement puts its columns in this order again)
create table p (a int); create table c (x int, a int); alter table c inherit p; alter table p add z int;
=== adopted deeper
create table p (a int); create table c (x int, a int); alter table c inherit p; create table d (y int) inherits (c);
=== no inherit
create table p (a int, constraint k check (a > 0) no inherit); create table c () inherits (p); create table d (constraint k check (a > 1)) inherits (p);
=== tablespaces
create table t (a int primary key, b text unique) tablespace devdb_space; create index i on t (b) tablespace devdb_space; create table p (a int primary key using index tablespace devdb_space) partition by range (a) tablespace devdb_space; create table p1 partition of p for values from (1) to (2); create materialized view mv tablespace devdb_space as select 1 as a; create table u (a int, unique (a) using index tablespace devdb_space deferrable);
=== ledger
create table kysely_migration (name varchar(255) not null primary key, timestamp varchar(255) not null); create table kysely_migration_lock (id varchar(255) not null primary key, is_locked int4 not null default 0); create view v as select max(name) from kysely_migration; comment on table kysely_migration is 'hist';
=== typed
create type ty as (a int, b text, c int); create table t of ty (a with options default 5 not null, primary key (a), check (c > 0)) ; create table pt of ty partition by range (a); create table pt1 partition of pt for values from (1) to (2); comment on column ty.b is 'b'; alter type ty add attribute d int cascade;
=== event triggers
create function ev() returns event_trigger language plpgsql as 'begin end'; create event trigger e1 on ddl_command_end when tag in ('DROP TABLE', 'CREATE TABLE', 'ALTER TABLE') execute function ev(); create event trigger e2 on sql_drop execute function ev(); alter event trigger e2 enable replica; create event trigger e0 on ddl_command_start execute function ev(); alter event trigger e0 disable; comment on event trigger e1 is 'x';
=== invalid index
create table p (a int) partition by range (a); create table p1 partition of p for values from (1) to (2); create index pi on only p (a); create index p1i on p1 (a); create table q (a int not null, b int) partition by range (a); create table q1 partition of q for values from (1) to (2); alter table only q add constraint qpk primary key (a); 
=== attach all
create table p (a int, b int) partition by range (a); create table p1 partition of p for values from (1) to (2); create table p2 (a int not null, b int); create unique index "i p2" on p2 (a, b); alter table p2 add constraint cc unique using index "i p2"; alter table p attach partition p2 for values from (2) to (3); create unique index ui on p (a, b); alter table p add constraint uq unique (a, b); alter table p add primary key (a); create table r (a int references p (a)); create table rp (a int, foreign key (a) references p (a)) partition by list (a); create table rp1 partition of rp for values in (1);
=== procedures
create procedure p(in a int, out b text, inout c int default 3) language plpgsql as 'begin end'; comment on procedure p(int, text, int) is 'x'; create function o(a int, out x int, out y text) language sql as 'select 1, ''a'''; comment on function o(int) is 'y'; create function tb(variadic a int[] default '{}') returns table (x int, y text) language sql cost 5 rows 7 parallel safe leakproof as $$ select 1, 'a$function$' $$; create function sp(x text) returns int language plpgsql security definer set search_path to public, "Odd S" set work_mem to '5MB' as $f$ begin return 1; end $f$; create function wf(int) returns int window language internal as 'window_row_number'; create aggregate ag(int) (sfunc = int4pl, stype = int, initcond = '0');comment on aggregate ag(int) is 'g';
=== odd names
create schema "a.b"; create schema "select"; create table "a.b"."x""y" ("c d" int primary key, "ü" text, "new
line" int default 5); comment on table "a.b"."x""y" is E'back\\slash ''quote'' \n new -- ; $$'; comment on column "a.b"."x""y"."new
line" is 'x'; create index "I .x" on "a.b"."x""y" ("ü"); create type "select"."T y" as enum ('a''b', E'c\\d', ''); create domain "select"."D" as "select"."T y" default 'a''b'; create function "select"."F"("select"."D", "Arg x" "select"."T y"[]) returns int language sql as 'select 1'; comment on function "select"."F" is E'a\\b'; create view "a.b"."V" as select "c d" as "C D", "ü" as "end" from "a.b"."x""y"; create statistics "a.b"."St" on "ü", "c d" from "a.b"."x""y"; comment on statistics "a.b"."St" is 's'; create policy "P p" on "a.b"."x""y" to public, current_user using ("c d" > 5); create rule "R r" as on insert to "a.b"."x""y" do also nothing; create collation "select"."Co" from "C"; create function "select"."O F"("select"."D", "select"."T y") returns int language sql as 'select 1'; create function "select"."A F"(int, "select"."D") returns int language sql as 'select 1'; create aggregate "select"."Ag"("select"."D") (sfunc = "select"."A F", stype = int); comment on aggregate "select"."Ag"("select"."D") is 'x'; create operator "a.b".@# (leftarg = "select"."D", rightarg = "select"."T y", function = "select"."O F");
=== constraints
create extension btree_gist; create table t (a int, b int, c int4range, d text, constraint e1 exclude using gist (c with &&, a with =) where (b > 0) deferrable initially deferred, constraint u1 unique nulls not distinct (a, b) include (d), primary key (a, d) with (fillfactor = 60)); create table r (x int, y text, z int, constraint fk foreign key (x, y) references t (a, d) match full on delete set null on update cascade deferrable initially immediate not valid, constraint ck check (x > 0) not valid); create unique index ui on t (b) include (a) where b > 5; create index cl on t (b desc); alter table t cluster on cl; alter table t alter b set not null; create unique index ri on t (b); alter table t replica identity using index ri; create index ex on t ((a + b), lower(d) text_pattern_ops desc nulls last) with (fillfactor = 50); alter index ex alter column 1 set statistics 44; create statistics st (ndistinct, mcv) on (a + b), d from t; alter statistics st set statistics 5; alter table t add constraint e2 exclude using gist ((a + b) with =); alter index e2 alter column 1 set statistics 77;
=== views
create table t (id int primary key, n text, o int); create view v1 with (check_option = cascaded, security_invoker = true) as select id, n from t where o > 0; create view v2 as select id, n, count(*) as c from t group by id; create recursive view rv (x) as select 1 union all select x + 1 from rv where x < 5; create view v3 (a, b) as select id, n from v2; alter view v3 rename a to z; create or replace view v3 as select id as z, n as b, c from v2; create materialized view mv with (fillfactor = 70) as select * from v2 with no data; create unique index on mv (id); create materialized view mv2 as select * from mv with no data; comment on column mv.n is 'n'; alter materialized view mv alter n set statistics 5; alter materialized view mv alter n set storage external; refresh materialized view mv; alter materialized view mv cluster on mv_id_idx; create view v4 as select t, (t.*)::text as x from t; create view empty_v as select; create materialized view mpk as select id, n, count(*) c from t group by id;
=== view on dropped
create table t (a int, b int, c int); create view v as select * from t; alter table t rename b to bb; alter table t drop column c cascade; create view v as select * from t; create view j as select * from t x (p, q) join t y on x.p = y.a;
=== foreign
create extension postgres_fdw; create server s type 'a''b' version '1' foreign data wrapper postgres_fdw options (host 'x'); comment on server s is 'srv'; create table p (a int, b text) partition by list (a); create foreign table f1 partition of p for values in (1) server s options (table_name 'x'); create foreign table f2 (a int options (column_name 'z') not null default 5, b text collate "C", constraint ck check (a > 0)) server s; alter foreign table f2 add constraint nv check (a > 1) not valid; alter foreign table f2 alter b set statistics 5; 
=== foreign inherit
create extension postgres_fdw; create server s foreign data wrapper postgres_fdw; create table p2 (y int, constraint k check (y > 0)); create foreign table f3 (x int) inherits (p2) server s; create foreign table g (a int generated always as (1) stored) server s;
=== zero
create table z (); create table z1 () inherits (z); create type zt as (); create table zp (a int) partition by hash (a); create table zd (a int); alter table zd drop column a; create view zv as select from z;
=== types deep
create type e as enum ('a'); create type c as (x e, y e[]); create domain dc as c check ((value).x is not null); create domain dd as dc[]; create table t (a dd, b c default row('a', '{}')::c); create type c2 as (t t, ts t[]); 
=== types deep 2
create type e as enum ('a'); create domain de as e; create type r as range (subtype = de); create type rr as (a r, b r[]); create function f(a r default null, b rr default null) returns setof rr language sql as 'select null::rr'; create collation co (provider = icu, locale = 'de'); create type cr as range (subtype = text, collation = co); create type trr as range (subtype = text, collation = "C", subtype_opclass = text_pattern_ops, multirange_type_name = "Multi R"); comment on type trr is 'x';
=== functions ring -> function public.a() and function public.b() (they need each other)
create function a() returns int language sql as 'select 1'; create function b() returns int language sql begin atomic select a(); end; create or replace function a() returns int language sql begin atomic select b(); end;
=== generated ring -> function public.f(integer) and table public.t (they need each other)
create table t (a int); create function f(int) returns bigint language sql immutable begin atomic select count(*) from t; end; alter table t add g bigint generated always as (f(a)) stored;
=== trigger on view and constraint
create table t (a int); create view v as select * from t; create function tf() returns trigger language plpgsql as 'begin return new; end'; create trigger i instead of insert on v for each row execute function tf('a''b', 'c'); create constraint trigger ct after insert on t from t deferrable initially deferred for each row when (new.a > 0) execute function tf(); create trigger us before update of a on t for each statement execute function tf(); 
=== truncate etc
create table t (a int, b text); create function tf() returns trigger language plpgsql as 'begin return new; end'; create trigger tt before truncate on t for each statement execute function tf(); create trigger u after update on t referencing old table as o new table as n for each statement execute function tf(); alter table t disable trigger all; alter table t enable replica trigger u; alter table t enable row level security; create policy a on t as restrictive for update using (a > 0) with check (b <> ''); create policy b on t for delete to pg_monitor, "postgres" using (true); alter table t set (autovacuum_enabled = false, toast.vacuum_truncate = false);
=== atomic
create table t (a int, b text); create function ins(x int) returns void language sql begin atomic insert into t values (x, 'a;b'); select 1; update t set b = 'c' where a = x; end; create function ret(x int default 1 + 1) returns text language sql return (select b from t where a = x limit 1); create procedure pr() language sql begin atomic delete from t; end; create view v as select ret(1); alter table t add constraint k check (b <> 'x');
=== what uses an extension
create extension hstore; create function hh(hstore) returns int language sql as 'select 1'; create cast (hstore as int) with function hh(hstore); create operator @@@ (leftarg = hstore, rightarg = hstore, function = hs_concat); create table t (h hstore); create index on t using gin (h); create aggregate hagg(hstore) (sfunc = hs_concat, stype = hstore);
=== a user mapping with a password -> user mapping for postgres on server s (its options hold a secret)
create extension postgres_fdw; create server s foreign data wrapper postgres_fdw; create user mapping for postgres server s options ("user" 'x', password 'y');
=== a subscription -> subscription "S b" (what it connects to is a secret)
create subscription "S b" connection 'dbname=nowhere password=y' publication p with (connect = false);
=== a policy on an extension's table -> policy x on public.et (its table belongs to an extension), row level security of public.et (its table belongs to an extension)
create extension citext; create table et (a int); alter extension citext add table et; create policy x on et using (true); alter table et enable row level security;
=== sequences view
create sequence s; create view v as select last_value, nextval('s') from s; create table t (a int default currval('s')); alter sequence s owned by t.a;
=== rls on partition
create table p (a int) partition by list (a); create table p1 partition of p for values in (1); alter table p1 enable row level security; create policy x on p1 using (true); alter table p force row level security;
=== partition default expr
create table p (a int, b text, c date) partition by range (lower(b) collate "C" text_pattern_ops, (a + 1)); create table p1 partition of p for values from (minvalue, minvalue) to ('m', 5); create table pd partition of p default; create table h (a int) partition by hash (a); create table h0 partition of h for values with (modulus 2, remainder 0) with (fillfactor = 40); create unlogged table hu partition of h for values with (modulus 2, remainder 1); create table l (a text) partition by list (a); create table l1 partition of l for values in ('a''b', null);
=== fk on partitions
create table r (id int primary key); create table p (a int references r, b int) partition by list (a); create table p1 partition of p for values in (1); create table p2 (b int, a int constraint myfk references r); alter table p attach partition p2 for values in (2); alter table p1 add constraint extra foreign key (b) references r on delete cascade; create table rp (a int primary key) partition by list (a); create table rp1 partition of rp for values in (1); create table f (a int references rp); create table self (id int primary key, up int references self);
=== comments on much
create table t (a int constraint nn not null, constraint pk primary key (a)); comment on constraint pk on t is 'pk'; comment on index pk is 'idx'; create function f(int) returns int language sql as 'select 1'; create cast (t as int) with inout; comment on cast (t as int) is 'c'; create operator ### (rightarg = int, function = f); comment on operator ### (none, int) is 'op'; create view v as select * from t; create rule r as on update to v do instead nothing; comment on rule r on v is 'r'; create conversion cv for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8; comment on conversion cv is 'cv';  create text search configuration c (copy = english); comment on text search configuration c is 'c'; create collation co from "C"; comment on collation co is 'co'; create foreign data wrapper w; comment on foreign data wrapper w is 'w'; create type ct as (a int); comment on column ct.a is 'a'; comment on type ct is 'ct'; create materialized view m as select 1 a; comment on materialized view m is 'm'; create aggregate ag(*) (sfunc = int8inc, stype = int8, initcond = '0'); comment on aggregate ag(*) is 'ag';
=== operator details
create function ef(int, text) returns boolean language sql as 'select true'; create function re(internal, oid, internal, int) returns float8 language internal as 'eqsel'; create operator =>>(leftarg = int, rightarg = text, function = ef);
=== operator details 2
create schema o; create function o.ef(int, text) returns boolean language sql as 'select true'; create function o.fe(text, int) returns boolean language sql as 'select true'; create function o.re(internal, oid, internal, int) returns float8 language internal stable as 'eqsel'; create operator o.=== (leftarg = int, rightarg = text, function = o.ef, commutator = operator(public.====), negator = operator(o.!==!), restrict = o.re, join = eqjoinsel, merges); create operator public.==== (leftarg = text, rightarg = int, function = o.fe, commutator = operator(o.===)); create operator o.~~~ (leftarg = int, rightarg = int, function = int4eq, commutator = operator(o.~~~~)); create view v as select 1 operator(o.===) 'a'::text as x;
=== large options
create table t (a int) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.5, user_catalog_table = true); create index i on t using brin (a) with (pages_per_range = 4, autosummarize = true); create view v with (security_barrier = false) as select 1; create sequence s increment by -1 start with -1; create sequence s2 minvalue -9223372036854775808 start 5 no cycle cache 1; alter table t alter a set (n_distinct = -0.5, n_distinct_inherited = 5);
=== default privileges
alter default privileges grant select on tables to public; create table t (a int); grant select on t to public; grant update (a) on t to pg_monitor; create schema s authorization pg_monitor; create table s.t (a int); revoke execute on function now() from public; grant execute on function now() to public;
=== temp objects
create temp table tt (a int); create function f() returns int language sql as 'select 1';
