import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .alterTable('person')
    .addColumn('email', 'text')
    .addColumn('phone', 'varchar(20)', (column) => column.notNull().defaultTo(''))
    .dropColumn('code')
    .alterColumn('about', (column) => column.setDefault('nothing'))
    .alterColumn('age', (column) => column.setDataType('bigint'))
    .execute()
  await db.schema.alterTable('person').renameColumn('small', 'tiny').execute()
  await db.schema.alterTable('invoice_line').renameTo('position').execute()
  await db.schema.alterTable('person').addUniqueConstraint('person_email', ['email']).execute()
  await sql`alter type mood add value if not exists ${sql.lit('so-so')} before 'happy'`.execute(db)
}

export async function down(db: Kysely<any>): Promise<void> {
  await db.schema.alterTable('person').dropConstraint('person_email').execute()
  await db.schema.alterTable('position').renameTo('invoice_line').execute()
  await db.schema.alterTable('person').renameColumn('tiny', 'small').execute()
  await db.schema
    .alterTable('person')
    .alterColumn('age', (column) => column.setDataType('integer'))
    .alterColumn('about', (column) => column.dropDefault())
    .addColumn('code', 'char(4)')
    .dropColumn('phone')
    .dropColumn('email')
    .execute()
  await db.schema.alterTable('person').addUniqueConstraint('person_name_code', ['name', 'code']).execute()
}
