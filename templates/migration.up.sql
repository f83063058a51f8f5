-- Runs in one transaction together with the other pending migrations: all of them, or none.
-- Statements that cannot run in one (create index concurrently, …) are found and run by themselves.
-- Write no begin or commit.

