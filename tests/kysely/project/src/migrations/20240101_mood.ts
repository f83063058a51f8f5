import type { Kysely } from 'kysely'
import { Mood } from '../tables'

// There is no way back.
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema.createType('mood').asEnum(Object.values(Mood)).execute()
}
