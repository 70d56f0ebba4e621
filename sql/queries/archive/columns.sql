-- The columns of a table in its order: name, type with its modifier, type alone, whether it is generated.
SELECT attname, ops.type_name(atttypid, atttypmod), atttypid, attgenerated <> ''
FROM pg_attribute
WHERE attrelid = %(oid)s AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
