import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .createView('debtor')
    .as(
      db
        .selectFrom('person')
        .innerJoin('invoice', 'invoice.person_id', 'person.id')
        .select(['person.id', 'person.name', sql`sum(invoice.cents)`.as('cents')])
        .where('person.is_admin', '=', sql.lit(false))
        .groupBy(['person.id', 'person.name']),
    )
    .execute()
  await db.schema.createView('busy').materialized().as(db.selectFrom('invoice').select(['person_id']).distinct()).execute()
}

export async function down(db: Kysely<any>): Promise<void> {
  await db.schema.dropView('busy').materialized().execute()
  await db.schema.dropView('debtor').execute()
}
