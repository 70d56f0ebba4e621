-- Which transactions a reader sees now.
SELECT pg_current_snapshot()::text
