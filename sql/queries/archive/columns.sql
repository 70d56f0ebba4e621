-- The columns of a table in order: name, type with its modifier, type alone (for a domain its base type, as the server
-- sends its values), whether it is generated.
WITH RECURSIVE base (number, type) AS (
  SELECT attnum, atttypid FROM pg_attribute WHERE attrelid = %(oid)s AND attnum > 0 AND NOT attisdropped
  UNION ALL
  SELECT base.number, t.typbasetype FROM base JOIN pg_type t ON t.oid = base.type WHERE t.typtype = 'd'
)
SELECT attname, ops.type_name(atttypid, atttypmod), base.type, attgenerated <> ''
FROM pg_attribute
JOIN base ON base.number = attnum
JOIN pg_type t ON t.oid = base.type AND t.typtype <> 'd'
WHERE attrelid = %(oid)s
ORDER BY attnum
