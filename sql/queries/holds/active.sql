-- The holds on a table that are neither released nor over, and the table's columns. A partition is held by
-- what holds the tables above it, and a table by what holds its partitions.
SELECT h.id, h.table_schema || '.' || h.table_name, h.predicate, h.reason, h.owner, h.created_at, h.created_by,
       h.ends_at, h.released_at, h.released_by,
       ARRAY(SELECT attname::text FROM pg_attribute
             WHERE attrelid = %(oid)s AND attnum > 0 AND NOT attisdropped)
FROM ops.legal_holds h
JOIN pg_namespace n ON n.nspname = h.table_schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = h.table_name
WHERE h.released_at IS NULL AND (h.ends_at IS NULL OR h.ends_at > clock_timestamp())
  AND c.oid IN (
    SELECT %(oid)s::oid
    UNION ALL SELECT relid FROM pg_partition_ancestors(%(oid)s)
    UNION ALL SELECT relid FROM pg_partition_tree(%(oid)s)
  )
ORDER BY h.id
