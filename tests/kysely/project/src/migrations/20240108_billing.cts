import { type Kysely } from 'kysely'

export async function up(db: Kysely<any>): Promise<void> {
  await db.schema.createSchema('billing').execute()
  const billing = db.withSchema('billing')
  await billing.schema
    .createTable('Odd "Name"')
    .addColumn('Id', 'integer', (column) => column.primaryKey())
    .addColumn('select', 'text')
    .execute()
  await db.schema.createTable('billing.account').addColumn('id', 'integer', (column) => column.references('billing.Odd "Name".Id')).execute()
  await billing.insertInto('Odd "Name"').values({ Id: 1, select: 'from' }).execute()
}

export async function down(db: Kysely<any>): Promise<void> {
  await db.schema.dropTable('billing.account').execute()
  await db.withSchema('billing').schema.dropTable('Odd "Name"').execute()
  await db.schema.dropSchema('billing').execute()
}
