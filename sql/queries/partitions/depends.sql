-- An object that would prevent a table from being dropped: a view, rule or function that depends on it.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid)
FROM pg_depend d
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = %(oid)s AND d.deptype = 'n'
  AND d.classid <> 'pg_constraint'::regclass
LIMIT 1
