// Runs the migrations of a Kysely project on a database that is not there, and tells what each one executes.
//
// The request is a JSON document on stdin: {"folder": "…", "files": ["…"]}. Each line on descriptor 3 is a JSON
// document; stdout and stderr are the migrations' own.
import { createRequire } from "node:module";
import { readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { types } from "node:util";

const { folder, files } = JSON.parse(readFileSync(0, "utf8"));
const project = createRequire(join(folder, "_"));

function tell(event) {
  const line = Buffer.from(`${JSON.stringify(event)}\n`);
  for (let at = 0; at < line.length; ) at += writeSync(3, line, at);
}

function give_up(reason, message) {
  tell({ event: "unable", reason, message: String(message) });
  process.exit(0);
}

/** The project's own copy of a package; nothing where it has none. */
async function find(name) {
  let path;
  try {
    path = project.resolve(name);
  } catch {
    return undefined;
  }
  return await import(pathToFileURL(path));
}

/** How TypeScript is read: by tsx, which knows a project's tsconfig.json; by Node itself; by ts-node. */
async function typescript_reader() {
  if (await find("tsx")) return (path, again) => import(pathToFileURL(path) + again);
  if (process.features.typescript) return (path, again) => import(pathToFileURL(path) + again);
  const ts_node = await find("ts-node");
  if (ts_node === undefined) return undefined;
  (ts_node.default ?? ts_node).register({ transpileOnly: true });
  return (path) => project(path);
}

// A second recording is told that more than a year has passed: what differs then depends on the time or on chance.
const RealDate = Date;
let shift = 0;
globalThis.Date = new Proxy(RealDate, {
  apply: () => new RealDate(RealDate.now() + shift).toString(),
  construct: (target, args, as) => Reflect.construct(target, args.length ? args : [RealDate.now() + shift], as),
  get: (target, key) => (key === "now" ? () => RealDate.now() + shift : Reflect.get(target, key)),
});
const LATER = (400 * 24 + 5) * 3600_000 + 12_345;

/** Variables that a migration's own code asks for; what libraries and Node ask for is none of its business. */
let watched;
process.env = new Proxy(process.env, {
  get(target, key) {
    const stack = new Error().stack;
    const asks = stack.split("\n")[2] ?? "";
    const is_foreign = asks.includes("node:") || asks.includes("node_modules");
    if (watched && !is_foreign && typeof key === "string" && stack.includes(watched.file)) watched.variables.add(key);
    return target[key];
  },
});

/** Bytes as text, with U+FFFD for half of a surrogate pair, as a driver sends it. */
const well_formed = (text) => Buffer.from(text, "utf8").toString("utf8");

const two = (number) => String(number).padStart(2, "0");

let wrote_date = false;

/** As `dateToString` in node-postgres 8.23 (`lib/utils.js`). */
function date_text(date) {
  wrote_date = true;
  let year = date.getFullYear();
  const is_before_christ = year < 1;
  if (is_before_christ) year = Math.abs(year) + 1;
  const offset = -date.getTimezoneOffset();
  const day = `${String(year).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const zone = `${offset < 0 ? "-" : "+"}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  return `${day}T${time}.${String(date.getMilliseconds()).padStart(3, "0")}${zone}${is_before_christ ? " BC" : ""}`;
}

const bytes_of = (view) => Buffer.from(view.buffer, view.byteOffset, view.byteLength);

/** As `prepareValue` in node-postgres 8.23: a text, bytes, or null. */
function prepared(value, seen = []) {
  if (value === null || value === undefined) return null;
  if (typeof value !== "object") return value.toString();
  if (ArrayBuffer.isView(value)) return bytes_of(value);
  if (types.isDate(value)) return date_text(value);
  if (Array.isArray(value)) return array_text(value);
  if (typeof value.toPostgres !== "function") return JSON.stringify(value);
  if (seen.includes(value)) throw new Error("a value's toPostgres() goes round in a circle");
  return prepared(value.toPostgres(prepared), [...seen, value]);
}

function array_text(values) {
  const element = (value) => {
    if (value === null || value === undefined) return "NULL";
    if (Array.isArray(value)) return array_text(value);
    if (ArrayBuffer.isView(value)) return `\\\\x${bytes_of(value).toString("hex")}`;
    const text = String(prepared(value));
    return `"${text.replace(/\\/g, "\\\\").replace(/"/g, '\\"')}"`;
  };
  return `{${values.map(element).join(",")}}`;
}

function parameter(value) {
  wrote_date = false;
  const text = prepared(value);
  if (text === null || text === undefined) return { type: "null" };
  if (typeof text !== "string") return { type: "bytes", hex: text.toString("hex") };
  return { type: "text", text: well_formed(text), date: wrote_date };
}

/** Goes off when somebody looks at what the database would have answered. */
function tripwire(run, statement) {
  const trip = () => (run.read ??= statement);
  return new Proxy([], {
    get(target, key) {
      // Promises ask for this of everything they are resolved with.
      if (key === "then") return undefined;
      // A plugin translates the rows of every answer; who looks at its translation looks at the rows.
      if (key === "map") return () => tripwire(run, statement);
      trip();
      return Reflect.get(target, key);
    },
    has: (target, key) => (trip(), Reflect.has(target, key)),
    ownKeys: (target) => (trip(), Reflect.ownKeys(target)),
    getOwnPropertyDescriptor: (target, key) => (trip(), Reflect.getOwnPropertyDescriptor(target, key)),
  });
}

function recording_dialect(kysely, run) {
  const answer = (query) => {
    const at = run.statements.length;
    const parameters = query.parameters.map(parameter);
    run.statements.push({ sql: well_formed(query.sql), parameters, raw: query.query?.kind === "RawNode" });
    // Statements of a builder are counted by everybody who executes them: only a comparison gives it away.
    const count = run.again ? { [Symbol.toPrimitive]: () => ((run.read ??= at), 1n) } : 0n;
    return { rows: tripwire(run, at), numAffectedRows: count };
  };
  const connection = {
    executeQuery: async (query) => answer(query),
    async *streamQuery(query) {
      answer(query);
      run.read ??= run.statements.length - 1;
    },
  };
  const introspect = async () => {
    run.introspected = true;
    return [];
  };
  return {
    createAdapter: () => new kysely.PostgresAdapter(),
    createQueryCompiler: () => new kysely.PostgresQueryCompiler(),
    createIntrospector: () => ({
      getSchemas: introspect,
      getTables: introspect,
      getMetadata: async () => ({ tables: await introspect() }),
    }),
    createDriver: () => ({
      init: async () => {},
      acquireConnection: async () => connection,
      beginTransaction: async () => void (run.transactions += 1),
      commitTransaction: async () => {},
      rollbackTransaction: async () => void (run.rolled_back = true),
      savepoint: async () => {},
      rollbackToSavepoint: async () => void (run.rolled_back = true),
      releaseSavepoint: async () => {},
      releaseConnection: async () => {},
      destroy: async () => {},
    }),
  };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function record(kysely, migrate, again) {
  const run = {
    statements: [], read: null, introspected: false, transactions: 0, rolled_back: false, not_awaited: false,
    error: null, again,
  };
  shift = again ? LATER : 0;
  try {
    await migrate(new kysely.Kysely({ dialect: recording_dialect(kysely, run) }));
  } catch (error) {
    run.error = well_formed(String(error?.message ?? error));
  }
  const awaited = run.statements.length;
  await turn();
  await turn();
  run.not_awaited = run.statements.length > awaited;
  shift = 0;
  return run;
}

const is_migration = (module) => typeof module === "object" && module !== null && typeof module.up === "function";
/** As Kysely's FileMigrationProvider (0.29) chooses. */
const migration_of = (module) => [module?.default, module].find(is_migration);

async function record_file(kysely, read, file) {
  const path = join(folder, file);
  const load = async (again) => migration_of(await read(path, again));
  watched = { file, variables: new Set() };
  let first;
  try {
    first = await load("");
  } catch (error) {
    return { event: "unreadable", file, message: well_formed(String(error?.message ?? error)) };
  }
  if (first === undefined) return { event: "ignored", file };
  shift = LATER;
  // A fresh copy, so that what it computes while it is loaded is computed again.
  const second = (await load("?again").catch(() => undefined)) ?? first;
  shift = 0;
  const both = async (name) => {
    if (typeof first[name] !== "function") return null;
    return [
      await record(kysely, (db) => first[name](db), false),
      await record(kysely, (db) => second[name](db), true),
    ];
  };
  const [up, down] = [await both("up"), await both("down")];
  const variables = [...watched.variables];
  const catches = /\bcatch\b/.test(readFileSync(path, "utf8"));
  return { event: "recorded", file, up, down, variables, catches, transaction: first.config?.transaction ?? true };
}

const kysely = await find("kysely").catch((error) => give_up("kysely_broken", error.message));
if (kysely === undefined) give_up("no_kysely", "");
const javascript = async (path, again) => await import(pathToFileURL(path) + again);
const typescript = files.some((file) => /\.[mc]?ts$/.test(file))
  ? await typescript_reader().catch((error) => give_up("typescript_broken", error.message))
  : undefined;
for (const file of files) {
  tell({ event: "begin", file });
  const read = /\.[mc]?ts$/.test(file) ? typescript : javascript;
  if (read === undefined) give_up("no_typescript", process.version);
  tell(await record_file(kysely, read, file));
}
tell({ event: "done" });
// Something that a migration imports may keep a connection pool open.
process.exit(0);
