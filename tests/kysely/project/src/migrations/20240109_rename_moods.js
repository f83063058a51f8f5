import { sql } from 'kysely'

// Kysely's own migrations run inside of a transaction already.
const together = (db, work) => (db.isTransaction ? work(db) : db.transaction().execute(work))

export default {
  async up(db) {
    await together(db, async (trx) => {
      await sql`alter type mood rename value 'happy' to 'glad'`.execute(trx)
      await sql`alter table person add column felt mood default ${sql.lit('glad')}`.execute(trx)
    })
  },
  async down(db) {
    await db.schema.alterTable('person').dropColumn('felt').execute()
    await sql`alter type mood rename value 'glad' to 'happy'`.execute(db)
  },
}
