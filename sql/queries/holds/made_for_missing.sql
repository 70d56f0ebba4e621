-- The holds made for a table that no longer has the given name, and the table's current name, if it exists.
SELECT id, bound_name
FROM ops.holds_now
WHERE table_name = %(name)s AND table_schema = %(schema)s AND named_oid IS NULL
  AND released_at IS NULL AND (ends_at IS NULL OR ends_at > clock_timestamp())
ORDER BY id
