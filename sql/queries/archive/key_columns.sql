-- The columns by which rows are searched: those of unique indexes and of foreign keys.
SELECT attname
FROM pg_attribute
WHERE attrelid = %(oid)s AND attnum > 0 AND NOT attisdropped
  AND (
    EXISTS (
      SELECT FROM pg_index
      WHERE indrelid = attrelid AND indisunique AND attnum = ANY (indkey[0:indnkeyatts - 1])
    )
    OR EXISTS (
      SELECT FROM pg_constraint
      WHERE conrelid = attrelid AND contype = 'f' AND attnum = ANY (conkey)
    )
  )
ORDER BY attnum
