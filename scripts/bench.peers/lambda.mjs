// The same handler as a team would write it with Kysely, under Node.js, as the bootstrap's loop: event, migrateToLatest, PUT.
import { readdir, readFile } from "node:fs/promises";
import { sql, Kysely, PostgresDialect } from "kysely-0.29";
import { Migrator } from "kysely-0.29/migration";
import pg from "pg";

Array.prototype.toReversed ??= function () {
  return [...this].reverse();
};

const folder = `${process.env.LAMBDA_TASK_ROOT}/migrations`;
const provider = {
  async getMigrations() {
    const migrations = {};
    for (const file of await readdir(folder)) {
      const [up] = (await readFile(`${folder}/${file}`, "utf8")).split("-- migrate:down");
      migrations[file.slice(0, -".sql".length)] = { up: (db) => sql.raw(up).execute(db) };
    }
    return migrations;
  },
};

async function migrate() {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 1 });
  const db = new Kysely({ dialect: new PostgresDialect({ pool }) });
  try {
    const { results, error } = await new Migrator({ db, provider }).migrateToLatest();
    if (error) throw error;
    return results.length;
  } finally {
    await db.destroy();
  }
}

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
for (;;) {
  const next = await fetch(`${api}/next`);
  const id = next.headers.get("lambda-runtime-aws-request-id");
  const { ResponseURL, StackId, RequestId, LogicalResourceId } = await next.json();
  const answer = { PhysicalResourceId: "migrations", StackId, RequestId, LogicalResourceId };
  try {
    Object.assign(answer, { Status: "SUCCESS", Data: { Applied: String(await migrate()) } });
  } catch (error) {
    Object.assign(answer, { Status: "FAILED", Reason: String(error.message) });
  }
  await fetch(ResponseURL, { method: "PUT", headers: { "content-type": "" }, body: JSON.stringify(answer) });
  await fetch(`${api}/${id}/response`, { method: "POST", body: "null" });
}
