-- The holds that are neither released nor ended and that are on a table, by its name or because they were made for it,
-- and the table's columns. Holds on its parents, partitions and inheritance children apply to the table as well.
WITH RECURSIVE above (oid) AS (
  SELECT %(oid)s::oid
  UNION
  SELECT i.inhparent FROM pg_inherits i JOIN above ON i.inhrelid = above.oid
), below (oid) AS (
  SELECT %(oid)s::oid
  UNION
  SELECT i.inhrelid FROM pg_inherits i JOIN below ON i.inhparent = below.oid
), family AS (
  SELECT oid FROM above UNION SELECT oid FROM below
)
SELECT h.id, ARRAY[h.table_schema, h.table_name], h.predicate, h.reason, h.owner, h.created_at, h.created_by,
       h.ends_at, h.released_at, h.released_by,
       h.table_oid, h.table_columns, h.named_oid, h.named_columns, h.bound_name,
       ARRAY(SELECT attname::text FROM pg_attribute
             WHERE attrelid = %(oid)s AND attnum > 0 AND NOT attisdropped)
FROM ops.holds_now h
WHERE h.released_at IS NULL AND (h.ends_at IS NULL OR h.ends_at > clock_timestamp())
  AND (h.table_oid IN (SELECT oid FROM family) OR h.named_oid IN (SELECT oid FROM family))
ORDER BY h.id
