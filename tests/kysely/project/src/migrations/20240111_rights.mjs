import { sql } from 'kysely'

export const up = async (db) => {
  await sql`comment on column person.name is ${sql.lit("it's a name")}`.execute(db)
  await sql`alter table person add constraint person_email_filled check (email <> '') not valid`.execute(db)
  await sql`
    -- only a comment above
    create or replace view debtor as
      select person.id, person.name, sum(invoice.cents) as cents
      from person join invoice on invoice.person_id = person.id
      where person.is_admin is not true -- and one below
      group by person.id, person.name
    -- and one at the end`.execute(db)
}

export const down = async (db) => {
  await sql`alter table person drop constraint person_email_filled`.execute(db)
  await sql`comment on column person.name is null`.execute(db)
}
