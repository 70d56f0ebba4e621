-- An object that would prevent a table from being dropped: a view, rule or function that depends on it. What belongs to
-- the table is dropped with it, also where it depends on a column as well: a trigger UPDATE OF or WHEN, a policy.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid)
FROM pg_depend d
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = %(oid)s AND d.deptype = 'n'
  AND d.classid <> 'pg_constraint'::regclass
  AND NOT EXISTS (
    SELECT FROM pg_depend own
    WHERE own.classid = d.classid AND own.objid = d.objid
      AND own.refclassid = d.refclassid AND own.refobjid = d.refobjid AND own.deptype <> 'n'
  )
LIMIT 1
