// Kysely's Migrator, driven line by line: a JSON document on stdin asks, one on stdout answers.
//
//   {"kysely": "0.29", "url": "postgres://…", "folder": "…", "verb": "latest|up|down|to|none|list", "name"?, "unordered"?}
//   {"results": [{"migrationName", "direction", "status"}, …] | null, "error": "…" | null}
//   list: {"migrations": [{"name", "executedAt": "…" | null}, …]}
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { transform } from "esbuild";
import pg from "pg";

// Kysely 0.29 wants Node.js 20; Debian 12 has 18, which lacks this of what its Migrator uses.
Array.prototype.toReversed ??= function () {
  return [...this].reverse();
};

/** The provider that `devdb migrate import --provider` writes (its path is the first argument), with this Kysely's `sql`. */
async function provider_class(kysely, sql) {
  const { code } = await transform(await readFile(process.argv[2], "utf8"), { loader: "ts" });
  (globalThis.sql_of ??= {})[kysely] = sql;
  const source = code.replace('import { sql } from "kysely";', `const sql = sql_of["${kysely}"];`);
  const { SqlMigrationProvider } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
  return SqlMigrationProvider;
}

async function migrate({ kysely, url, folder, verb, name, unordered }) {
  const { Kysely, PostgresDialect, sql, ...root } = await import(`kysely-${kysely}`);
  // Exported from the root until 0.28.
  const { Migrator, NO_MIGRATIONS } = kysely === "0.28" ? root : await import(`kysely-${kysely}/migration`);
  const db = new Kysely({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url, max: 1 }) }) });
  try {
    const provider = new (await provider_class(kysely, sql))(folder);
    const migrator = new Migrator({ db, provider, allowUnorderedMigrations: unordered ?? false });
    if (verb === "list") {
      const executedAt = (time) => time?.toISOString() ?? null;
      const found = await migrator.getMigrations();
      return { migrations: found.map((one) => ({ name: one.name, executedAt: executedAt(one.executedAt) })) };
    }
    const run = {
      latest: () => migrator.migrateToLatest(),
      up: () => migrator.migrateUp(),
      down: () => migrator.migrateDown(),
      to: () => migrator.migrateTo(name),
      none: () => migrator.migrateTo(NO_MIGRATIONS),
    }[verb];
    const { results, error } = await run();
    return { results: results ?? null, error: error === undefined ? null : String(error.message ?? error) };
  } finally {
    await db.destroy();
  }
}

// Kysely announces and warns on the console.
for (const level of ["log", "info", "warn"]) console[level] = () => {};

// Answers go out in the order of the questions.
let answered = Promise.resolve();
for await (const line of createInterface({ input: process.stdin })) {
  const answer = migrate(JSON.parse(line)).catch((error) => ({ results: null, error: `driver: ${error.stack}` }));
  answered = answered.then(async () => process.stdout.write(`${JSON.stringify(await answer)}\n`));
}
