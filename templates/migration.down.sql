-- Undoes the up file. Without this file, `migrate down` and `migrate to` stop at this migration.

