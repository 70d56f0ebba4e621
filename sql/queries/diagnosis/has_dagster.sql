-- Whether Dagster has created its tables. Runs on Dagster's database.
SELECT to_regclass('alembic_version') IS NOT NULL AND to_regclass('daemon_heartbeats') IS NOT NULL
