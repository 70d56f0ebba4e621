-- The current snapshot: which transactions are visible now.
SELECT pg_current_snapshot()::text
