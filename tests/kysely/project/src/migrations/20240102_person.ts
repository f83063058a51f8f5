import { type Kysely, sql } from 'kysely'
import { withTimes } from '../tables'

export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable('person')
    .addColumn('id', 'bigint', (column) => column.primaryKey().generatedAlwaysAsIdentity())
    .addColumn('key', 'uuid', (column) => column.notNull().unique().defaultTo(sql`gen_random_uuid()`))
    .addColumn('name', 'varchar(100)', (column) => column.notNull().defaultTo("o'k \\ \"x\""))
    .addColumn('code', 'char(4)')
    .addColumn('about', 'text')
    .addColumn('age', 'integer', (column) => column.check(sql`age >= 0`))
    .addColumn('small', 'smallint')
    .addColumn('ratio', 'real')
    .addColumn('exact', 'double precision')
    .addColumn('balance', 'numeric(12, 2)', (column) => column.notNull().defaultTo(0))
    .addColumn('is_admin', 'boolean', (column) => column.notNull().defaultTo(false))
    .addColumn('born', 'date')
    .addColumn('wakes', 'time')
    .addColumn('seen', 'timestamp')
    .addColumn('picture', 'bytea')
    .addColumn('settings', 'jsonb', (column) => column.notNull().defaultTo(sql`'{}'::jsonb`))
    .addColumn('notes', 'json')
    .addColumn('tags', sql`text[]`)
    .addColumn('grid', sql`integer[][]`)
    .addColumn('mood', sql`mood`)
    .addColumn('pause', sql`interval`)
    .addColumn('address', sql`inet`)
    .addColumn('shout', 'text', (column) => column.generatedAlwaysAs(sql`upper(name)`).stored())
    .$call(withTimes)
    .addUniqueConstraint('person_name_code', ['name', 'code'])
    .addCheckConstraint('person_name_filled', sql`length(name) > 0`)
    .execute()
}

export async function down(db: Kysely<any>): Promise<void> {
  await db.schema.dropTable('person').execute()
}
