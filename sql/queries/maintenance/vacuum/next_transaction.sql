-- The next transaction id; rows that are dead now were deleted by lower ones.
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint
