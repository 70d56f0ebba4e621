-- The table that this one belongs to in the end: itself, or the one whose partition it is.
SELECT coalesce(pg_partition_root(%(oid)s)::oid, %(oid)s)
