import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<any>): Promise<void> {
  await sql`
    create function touch() returns trigger language plpgsql as $$
    begin
      -- it's the row's last change; $1 is no parameter here
      new.updated_at := now();
      return new;
    end;
    $$
  `.execute(db)
  for (const table of ['person', 'invoice']) {
    await sql`create trigger ${sql.id(`${table}_touch`)} before update on ${sql.table(table)} for each row execute function touch();`.execute(db)
  }
  // Several statements at once, and a body of SQL's own kind.
  await sql
    .raw(`
    create function total(person bigint) returns bigint language sql stable
    begin atomic
      select sum(cents) from invoice where person_id = person;
      select coalesce(sum(cents), 0)::bigint from invoice where person_id = person;
    end;
    comment on function total(bigint) is 'cents; per person'; -- the end
  `)
    .execute(db)
}

export async function down(db: Kysely<any>): Promise<void> {
  await sql`drop function total(bigint)`.execute(db)
  await sql`drop function touch() cascade`.execute(db)
}
