//! Plain SQL migrations with their history in Kysely's own tables.
