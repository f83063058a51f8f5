import { type CreateTableBuilder, sql } from 'kysely'

/** What every table of the team has. */
export function withTimes<T extends string, C extends string>(table: CreateTableBuilder<T, C>) {
  return table
    .addColumn('created_at', 'timestamptz', (column) => column.notNull().defaultTo(sql`now()`))
    .addColumn('updated_at', 'timestamptz')
}

export enum Mood {
  Happy = 'happy',
  Quiet = "it's quiet",
}
