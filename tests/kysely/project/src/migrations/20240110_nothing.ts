import type { Kysely } from 'kysely'

export async function up(_db: Kysely<any>): Promise<void> {
  console.log('{"event": "done"}')
}

export async function down(_db: Kysely<any>): Promise<void> {}
