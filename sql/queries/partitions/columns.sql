-- The columns of a table in order, without generated ones.
SELECT attname
FROM pg_attribute
WHERE attrelid = %(table)s AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
ORDER BY attnum
