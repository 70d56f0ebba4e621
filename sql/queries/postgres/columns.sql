-- The columns of a table and their types, in order.
SELECT attname, format_type(atttypid, NULL)
FROM pg_attribute
WHERE attrelid = %(oid)s AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
