-- The equality operator of each of a table's columns: that of the type's default B-tree operator class, for a domain of
-- its base type. Columns whose type has no operator class of its own, such as varchar, are left out.
WITH RECURSIVE base (name, type) AS (
  SELECT attname, atttypid FROM pg_attribute WHERE attrelid = %(oid)s AND attnum > 0 AND NOT attisdropped
  UNION ALL
  SELECT base.name, t.typbasetype FROM base JOIN pg_type t ON t.oid = base.type WHERE t.typtype = 'd'
)
SELECT base.name, n.nspname, o.oprname
FROM base
JOIN pg_opclass c ON c.opcintype = base.type AND c.opcdefault
JOIN pg_am am ON am.oid = c.opcmethod AND am.amname = 'btree'
JOIN pg_amop e ON e.amopfamily = c.opcfamily AND e.amoplefttype = base.type AND e.amoprighttype = base.type
  AND e.amopstrategy = 3
JOIN pg_operator o ON o.oid = e.amopopr
JOIN pg_namespace n ON n.oid = o.oprnamespace
