-- Asks PostgreSQL whether it can compare at all; reads no row.
SELECT FROM {table} AS target WHERE {condition} LIMIT 0
