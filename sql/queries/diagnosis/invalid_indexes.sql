-- The invalid indexes of these tables and their partitions: name, table, and the statements that drop or rebuild it. One
-- that a session may be building is left out: a build holds such a lock throughout. A copy that an interrupted REINDEX
-- left is only to be dropped, and a partition's part of an index only to be rebuilt.
WITH heaps AS (
  SELECT DISTINCT leaf.relid AS oid
  FROM unnest(%(tables)s::oid[]) AS t (oid)
  CROSS JOIN LATERAL (SELECT relid FROM pg_partition_tree(t.oid) UNION SELECT t.oid) AS leaf (relid)
)
SELECT format('%%s.%%s', n.nspname, c.relname), format('%%s.%%s', tn.nspname, t.relname),
       array_remove(ARRAY[
         CASE WHEN NOT c.relispartition THEN format('DROP INDEX CONCURRENTLY %%I.%%I;', n.nspname, c.relname) END,
         CASE WHEN c.relname !~ '_cc(new|old)[0-9]*$'
              THEN format('REINDEX INDEX CONCURRENTLY %%I.%%I;', n.nspname, c.relname) END
       ], NULL)
FROM heaps
JOIN pg_index i ON i.indrelid = heaps.oid
JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE NOT i.indisvalid
  AND NOT EXISTS (
    SELECT FROM pg_locks l
    WHERE l.locktype = 'relation' AND l.relation IN (c.oid, t.oid) AND l.pid IS DISTINCT FROM pg_backend_pid()
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'AccessExclusiveLock')
  )
ORDER BY 1
