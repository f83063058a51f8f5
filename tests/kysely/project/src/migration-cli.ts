// A team's command line for Kysely's Migrator: `latest`, `to NAME`, `status`.
import { Kysely, PostgresDialect } from 'kysely'
import { Migrator } from 'kysely/migration'
import pg from 'pg'
import { provider } from './migration-provider'

// Kysely 0.29 wants Node.js 20; Debian 12 has 18, which lacks this of what its Migrator uses.
Array.prototype.toReversed ??= function () {
  return [...this].reverse()
}

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 1 })
const db = new Kysely<any>({ dialect: new PostgresDialect({ pool }) })
const migrator = new Migrator({ db, provider })
const [verb, name] = process.argv.slice(2)
if (verb === 'status') {
  for (const migration of await migrator.getMigrations()) {
    console.log(migration.name, migration.executedAt === undefined ? 'pending' : 'executed')
  }
} else {
  const { error, results } = verb === 'to' ? await migrator.migrateTo(name!) : await migrator.migrateToLatest()
  for (const result of results ?? []) console.log(result.migrationName, result.direction, result.status)
  if (results?.length === 0) console.log('nothing to migrate')
  if (error !== undefined) {
    console.error(error)
    process.exitCode = 1
  }
}
await db.destroy()
