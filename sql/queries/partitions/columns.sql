-- The columns of a table that a row is made of, in order: those that are computed are left out.
SELECT attname
FROM pg_attribute
WHERE attrelid = %(table)s AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
ORDER BY attnum
