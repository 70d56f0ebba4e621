-- All holds, the newest first.
SELECT id, ARRAY[table_schema, table_name], predicate, reason, owner, created_at, created_by, ends_at,
       released_at, released_by, table_oid, table_columns, named_oid, named_columns, bound_name
FROM ops.holds_now
ORDER BY id DESC
