-- The revision of Dagster's schema. Runs on Dagster's database.
SELECT version_num FROM alembic_version
