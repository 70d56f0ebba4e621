-- The migrations that were applied here.
SELECT name FROM ops.migrations
