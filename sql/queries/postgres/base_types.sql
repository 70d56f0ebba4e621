-- The columns of a table and their types; for a domain, its base type.
WITH RECURSIVE base (name, type) AS (
  SELECT attname, atttypid FROM pg_attribute WHERE attrelid = %(oid)s AND attnum > 0 AND NOT attisdropped
  UNION ALL
  SELECT base.name, t.typbasetype FROM base JOIN pg_type t ON t.oid = base.type WHERE t.typtype = 'd'
)
SELECT base.name, format_type(base.type, NULL) FROM base JOIN pg_type t ON t.oid = base.type WHERE t.typtype <> 'd'
