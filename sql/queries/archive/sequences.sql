-- The sequences of a table's columns: those owned by columns, including identity columns, and those named by defaults.
-- Also whether each counts upwards, its bounds, and whether the current user may read and advance it.
SELECT a.attname::text, s.oid, n.nspname, s.relname, q.seqincrement > 0, q.seqmin, q.seqmax,
       has_sequence_privilege(s.oid, 'SELECT') AND has_sequence_privilege(s.oid, 'UPDATE')
FROM (
  SELECT d.refobjsubid AS attnum, d.objid AS sequence
  FROM pg_depend d
  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
    AND d.refobjid = %(oid)s AND d.deptype IN ('a', 'i')
  UNION
  SELECT f.adnum, d.refobjid
  FROM pg_attrdef f
  JOIN pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = f.oid
    AND d.refclassid = 'pg_catalog.pg_class'::regclass
  WHERE f.adrelid = %(oid)s
) AS numbered
JOIN pg_sequence q ON q.seqrelid = numbered.sequence
JOIN pg_class s ON s.oid = q.seqrelid
JOIN pg_namespace n ON n.oid = s.relnamespace
JOIN pg_attribute a ON a.attrelid = %(oid)s AND a.attnum = numbered.attnum
WHERE a.atttypid IN ('pg_catalog.int2'::regtype, 'pg_catalog.int4'::regtype, 'pg_catalog.int8'::regtype,
                     'pg_catalog.numeric'::regtype)
ORDER BY a.attnum, s.oid
