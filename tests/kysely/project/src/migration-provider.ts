import { promises as fs } from 'node:fs'
import path from 'node:path'
import { FileMigrationProvider } from 'kysely/migration'

const migrationFolder = new URL('migrations', import.meta.url).pathname
export const provider = new FileMigrationProvider({ fs, path, migrationFolder })
