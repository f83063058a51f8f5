// Lets Kysely's own Migrator read the SQL files that devdb reads. `devdb migrate import --provider FILE.ts` writes it.
//
//   new Migrator({ db, provider: new SqlMigrationProvider('db/migrations') })
//
// A file is NAME.up.sql with NAME.down.sql, or NAME.sql with `-- migrate:up` and `-- migrate:down`; NAME is the name in the
// ledger. A file that opts out of the transaction (`-- devdb: transaction=false`) is left to devdb: Kysely would run it
// inside one.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Kysely, sql } from 'kysely'

type Step = (db: Kysely<any>) => Promise<void>
type Parts = { up?: string; down?: string }

export class SqlMigrationProvider {
  private readonly folder: string

  constructor(folder: string) {
    this.folder = folder
  }

  async getMigrations(): Promise<Record<string, { up: Step; down?: Step }>> {
    const found: Record<string, Parts> = {}
    for (const file of (await readdir(this.folder)).sort()) {
      const words = /^([^.].*?)(?:\.(up|down))?\.sql$/.exec(file)
      if (!words) continue
      const [name = '', half] = words.slice(1)
      const text = (await readFile(join(this.folder, file), 'utf8')).replace(/^\ufeff/, '').replaceAll('\r\n', '\n')
      const parts: Parts = half ? { [half]: text } : partsOf(text, file)
      const known = (found[name] ??= {})
      for (const part of ['up', 'down'] as const) {
        if (parts[part] === undefined) continue
        if (known[part] !== undefined) throw new Error(`${file}: there is another ${part} part of ${name}`)
        known[part] = parts[part]
      }
    }
    const migrations: Record<string, { up: Step; down?: Step }> = {}
    for (const [name, { up, down }] of Object.entries(found)) {
      if (up === undefined) throw new Error(`${name} has a down part and no up part`)
      migrations[name] = { up: step(name, up), ...(down === undefined ? {} : { down: step(name, down) }) }
    }
    return migrations
  }
}

/** All statements in one message, which is what the driver sends when there are no parameters. */
function step(name: string, text: string): Step {
  return async (db) => {
    if (comments(text).some(({ words }) => /^devdb:\s*transaction=false$|^migrate:.*\stransaction:false\b/.test(words))) {
      throw new Error(`${name} runs outside of a transaction: run it with \`devdb migrate to ${name}\``)
    }
    if (isBlank(text)) throw new Error(`${name}: there is no statement in the file`)
    await sql.raw(text).execute(db)
  }
}

/** A file with both parts. */
function partsOf(text: string, file: string): Parts {
  const parts: Parts = {}
  const headings = comments(text).filter(({ words }) => /^migrate:(up|down)\b/.test(words))
  const above = text.slice(0, headings[0]?.at ?? 0)
  if (!isBlank(above)) throw new Error(`${file}: a statement stands before \`-- migrate:up\``)
  headings.forEach(({ words, at }, index) => {
    const part = words.startsWith('migrate:up') ? 'up' : 'down'
    if (parts[part] !== undefined) throw new Error(`${file}: a second \`-- migrate:${part}\``)
    // What stands above the first heading belongs to both: directives.
    parts[part] = above + text.slice(at, headings[index + 1]?.at)
  })
  if (parts.up === undefined) throw new Error(`${file}: there is no \`-- migrate:up\``)
  return parts
}

/** Nothing but comments. */
function isBlank(text: string): boolean {
  const rest = comments(text).reduceRight((rest, { at, end }) => rest.slice(0, at) + rest.slice(end), text)
  return rest.trim() === ''
}

/** The comments; those that begin their line with their words. What only looks like one, in a string or a body, is none. */
function comments(text: string): { words: string; at: number; end: number }[] {
  const found: { words: string; at: number; end: number }[] = []
  const token =
    /--[^\n]*|\/\*|(?<![\w$])[eE]'(?:\\[^]|''|[^'\\])*'|'[^']*'|"[^"]*"|(?<![\w$\x80-\uffff])(\$(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$)[^]*?\1/g
  for (let match = token.exec(text); match; match = token.exec(text)) {
    const at = match.index
    const isLine = match[0].startsWith('--')
    if (match[0] === '/*') token.lastIndex = endOfBlock(text, at)
    else if (!isLine) continue
    const before = text.slice(text.lastIndexOf('\n', at - 1) + 1, at)
    found.push({ words: isLine && before.trim() === '' ? match[0].slice(2).trim() : '', at, end: token.lastIndex })
  }
  return found
}

/** Block comments nest. */
function endOfBlock(text: string, start: number): number {
  const edge = /\/\*|\*\//g
  edge.lastIndex = start
  let depth = 0
  for (let match = edge.exec(text); match; match = edge.exec(text)) {
    depth += match[0] === '/*' ? 1 : -1
    if (depth === 0) return edge.lastIndex
  }
  return text.length
}
