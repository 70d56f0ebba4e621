-- The table itself, or the root of the tree whose partition it is.
SELECT coalesce(pg_partition_root(%(oid)s)::oid, %(oid)s)
