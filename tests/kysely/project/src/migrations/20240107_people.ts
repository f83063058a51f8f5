import { type Kysely, sql } from 'kysely'

const names = ["o'Neill", 'C:\\new\\table', '$1 and ${x}', 'two\nlines\r\nthree', 'E\'\\\'', '', '-- no comment; /* none */', 'ünï\u{1f600}"', '\t']

export async function up(db: Kysely<any>): Promise<void> {
  for (const [at, name] of names.entries()) {
    await db
      .insertInto('person')
      .values({
        key: `00000000-0000-0000-0000-${String(at).padStart(12, '0')}`,
        name: name === '' ? 'empty' : name,
        about: name,
        age: 9007199254740993n - BigInt(at),
        tiny: -at,
        ratio: 0.1,
        exact: at === 0 ? Number.NaN : -1 / 3,
        balance: 12.5,
        is_admin: at % 2 === 0,
        born: '1815-12-10',
        wakes: '06:30',
        seen: new Date(Date.UTC(2024, 0, 2, 3, 4, 5, 678)),
        picture: at === 0 ? Buffer.from([0, 39, 92, 255]) : new Uint8Array([at]),
        settings: { name, list: [1, null, { deep: "it's" }], on: true },
        notes: JSON.stringify(['\\', "'", name]),
        tags: [name, 'b,"c"', null, '{}'],
        grid: [[1, 2], [3, at]],
        mood: at % 2 ? 'happy' : "it's quiet",
        pause: '1 day 02:00:00',
        address: null,
        created_at: new Date('2024-02-29T12:00:00Z'),
      })
      .execute()
  }
  await db.insertInto('invoice').columns(['person_id', 'number', 'cents', 'created_at']).expression((eb) =>
    eb.selectFrom('person').select(['id', sql<string>`'N-' || id`.as('number'), eb.val(4200).as('cents'), sql`timestamptz '2024-03-01Z'`.as('at')])).execute()
  await db
    .updateTable('person')
    .set({ email: sql`concat(${'a\\b'}::text, id, ${"@x'y"}::text)`, pause: sql`make_interval(days => ${3})` })
    .where('name', 'in', names)
    .where('is_admin', '=', true)
    .where((eb) => eb.or([eb('age', '>', 7), eb('tags', '@>', sql`${['b,"c"']}`)]))
    .executeTakeFirst()
  await db.deleteFrom('person').where('key', '=', '00000000-0000-0000-0000-000000000008').execute()
  await sql`select setval('invoice_id_seq', ${100})`.execute(db)
  await db.insertInto('position').values([{ invoice_id: 1, line: 1, text: null }, { invoice_id: 1, line: 2, text: 'x' }]).onConflict((on) => on.doNothing()).execute()
}

export async function down(db: Kysely<any>): Promise<void> {
  await db.deleteFrom('invoice').execute()
  await db.deleteFrom('person').where(sql<boolean>`true`).execute()
}
