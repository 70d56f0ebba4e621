-- The age in transaction ids of the database's oldest possible row.
SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()
