// node-postgres through the tunnel with the certificate fully verified. It takes what `devdb env` sets for libpq:
// dial PGHOSTADDR, and insist on the endpoint's own name, which node-postgres cannot learn from a variable.
import { readFileSync } from "node:fs";
import pg from "pg";

const { PGHOST, PGHOSTADDR, PGSSLROOTCERT } = process.env;

export const pool = new pg.Pool({
  host: PGHOSTADDR || PGHOST,
  ssl: PGSSLROOTCERT ? { ca: readFileSync(PGSSLROOTCERT, "utf8"), servername: PGHOST } : undefined,
});
