import { type Kysely, sql } from 'kysely'
import { withTimes } from '../tables'

export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable('invoice')
    .addColumn('id', 'serial', (column) => column.primaryKey())
    .addColumn('person_id', 'bigint', (column) => column.notNull().references('person.id').onDelete('cascade').onUpdate('restrict'))
    .addColumn('number', 'text', (column) => column.notNull())
    .addColumn('cents', 'bigint', (column) => column.notNull())
    .$call(withTimes)
    .execute()
  await db.schema
    .createTable('invoice_line')
    .addColumn('invoice_id', 'integer', (column) => column.notNull())
    .addColumn('line', 'integer', (column) => column.notNull())
    .addColumn('text', 'text')
    .addPrimaryKeyConstraint('invoice_line_pk', ['invoice_id', 'line'])
    .addForeignKeyConstraint('invoice_line_invoice', ['invoice_id'], 'invoice', ['id'], (key) => key.onDelete('cascade'))
    .execute()
  await db.schema.createIndex('invoice_number').on('invoice').column('number').unique().execute()
  await db.schema.createIndex('invoice_newest').on('invoice').columns(['person_id', 'created_at desc']).execute()
  await db.schema.createIndex('invoice_large').on('invoice').column('cents').where(sql.ref('cents'), '>', 100000).execute()
  await db.schema.createIndex('person_lower').on('person').expression(sql`lower(name)`).using('btree').execute()
  await db.schema.createIndex('person_settings').on('person').using('gin').column('settings').execute()
}

export async function down(db: Kysely<any>): Promise<void> {
  await db.schema.dropIndex('person_settings').execute()
  await db.schema.dropIndex('person_lower').ifExists().execute()
  await db.schema.dropTable('invoice_line').execute()
  await db.schema.dropTable('invoice').cascade().execute()
}
