-- The transaction id that would be given out next: what was deleted before it has a lower one.
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint
