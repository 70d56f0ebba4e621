-- The unique keys of a table: the columns of each unique index without expressions or predicate, and for each column
-- the schema and name of the operator that compares it.
SELECT array_agg(a.attname ORDER BY k.position), jsonb_agg(jsonb_build_array(n.nspname, o.oprname) ORDER BY k.position)
FROM pg_index i
CROSS JOIN unnest((i.indkey::int2[])[0:i.indnkeyatts - 1], i.indclass::oid[]) WITH ORDINALITY AS k (attnum, class, position)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
JOIN pg_opclass c ON c.oid = k.class
JOIN pg_am am ON am.oid = c.opcmethod AND am.amname = 'btree'
JOIN pg_amop e ON e.amopfamily = c.opcfamily AND e.amoplefttype = c.opcintype AND e.amoprighttype = c.opcintype
  AND e.amopstrategy = 3
JOIN pg_operator o ON o.oid = e.amopopr
JOIN pg_namespace n ON n.oid = o.oprnamespace
WHERE i.indrelid = %(oid)s AND i.indisunique AND i.indexprs IS NULL AND i.indpred IS NULL
GROUP BY i.indexrelid, i.indisprimary
ORDER BY i.indisprimary DESC, i.indexrelid
