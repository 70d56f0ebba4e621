-- Which of these columns of a table are NOT NULL.
SELECT attname::text
FROM pg_attribute
WHERE attrelid = %(oid)s AND attname = ANY (%(columns)s::text[]) AND attnotnull
ORDER BY attnum
