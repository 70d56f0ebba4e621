-- The foreign keys of a table: the action when its parent is deleted (pg_constraint.confdeltype), its columns and
-- the parent's with the operators that compare them, the columns that it sets, whether one of these is NOT NULL, the
-- parent, and whether the current user can see all of its rows. Without those that PostgreSQL does not enforce, those
-- WITHOUT OVERLAPS, and the copies of a key for each partition of its parent.
SELECT k.conname::text, k.confdeltype::text, this.columns, parent.columns, operators.schemas, operators.names,
       setting.columns, setting.required, p.oid, n.nspname, p.relname,
       NOT row_security_active(p.oid) AND parent.readable
FROM pg_constraint k
JOIN pg_class p ON p.oid = k.confrelid
JOIN pg_namespace n ON n.oid = p.relnamespace
CROSS JOIN LATERAL (
  SELECT array_agg(a.attname::text ORDER BY key.place) AS columns
  FROM unnest(k.conkey) WITH ORDINALITY AS key (attnum, place)
  JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = key.attnum
) AS this
CROSS JOIN LATERAL (
  SELECT array_agg(a.attname::text ORDER BY key.place) AS columns,
         bool_and(has_column_privilege(p.oid, a.attnum, 'SELECT')) AS readable
  FROM unnest(k.confkey) WITH ORDINALITY AS key (attnum, place)
  JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = key.attnum
) AS parent
CROSS JOIN LATERAL (
  SELECT array_agg(s.nspname::text ORDER BY key.place) AS schemas, array_agg(o.oprname::text ORDER BY key.place) AS names
  FROM unnest(k.conpfeqop) WITH ORDINALITY AS key (operator, place)
  JOIN pg_operator o ON o.oid = key.operator
  JOIN pg_namespace s ON s.oid = o.oprnamespace
) AS operators
CROSS JOIN LATERAL (
  SELECT array_agg(a.attname::text) AS columns, bool_or(a.attnotnull) AS required
  FROM pg_attribute a
  WHERE a.attrelid = k.conrelid AND a.attnum = ANY (coalesce(k.confdelsetcols, k.conkey))
) AS setting
WHERE k.conrelid = %(oid)s AND k.contype = 'f'
  AND to_jsonb(k) ->> 'conenforced' IS DISTINCT FROM 'false'
  AND to_jsonb(k) ->> 'conperiod' IS DISTINCT FROM 'true'
  AND NOT EXISTS (SELECT FROM pg_constraint whole WHERE whole.oid = k.conparentid AND whole.conrelid = k.conrelid)
ORDER BY k.conname
