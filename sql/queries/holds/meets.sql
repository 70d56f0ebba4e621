-- Checks that PostgreSQL can compare the values at all; reads no row.
SELECT FROM {table} AS target WHERE {condition} LIMIT 0
