-- Statements that replace the old table with the new one: names of tables, indexes and sequences, positions of identity
-- columns, owners of serial sequences, and triggers. In the order of `step`.
WITH o AS (
  SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %(old)s
), new AS (
  SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %(new)s
), moved AS (
  -- An old index or identity sequence, and the new one that replaces it, as its name says.
  SELECT x.oid, x.relname, x.relkind, y.oid AS new_oid, y.relname AS new_name
  FROM o
  JOIN pg_class y ON y.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = o.oid)
    AND y.relkind IN ('I', 'S') AND y.relname ~ '^ops_adoption_[0-9]+$'
  JOIN pg_class x ON x.oid = substr(y.relname, 14)::oid
  WHERE EXISTS (
    SELECT FROM pg_index i WHERE i.indexrelid = x.oid AND i.indrelid = o.oid
    UNION ALL
    SELECT FROM pg_depend d WHERE d.objid = x.oid AND d.refobjid = o.oid AND d.deptype = 'i'
  )
)
SELECT statement FROM (
  SELECT 1 AS step, format('SELECT pg_catalog.setval(%%L, last_value, is_called) FROM %%I.%%I',
                           format('%%I.%%I', o.nspname, new_name), o.nspname, moved.relname) AS statement
  FROM o, moved WHERE relkind = 'S'
  UNION ALL
  SELECT 2, format('ALTER SEQUENCE %%I.%%I OWNED BY %%I.%%I.%%I', sn.nspname, s.relname, new.nspname, new.relname,
                   a.attname)
  FROM new, o
  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = o.oid AND d.deptype = 'a'
    AND d.classid = 'pg_class'::regclass
  JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
  JOIN pg_namespace sn ON sn.oid = s.relnamespace
  JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum = d.refobjsubid
  UNION ALL
  SELECT 3, format('ALTER TABLE %%I.%%I RENAME TO %%I', nspname, relname, %(old_name)s::text) FROM o
  UNION ALL
  SELECT 4, format('ALTER TABLE %%I.%%I RENAME TO %%I', new.nspname, new.relname, o.relname) FROM o, new
  UNION ALL
  SELECT 5, format('ALTER %%s %%I.%%I RENAME TO %%I', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'INDEX' END,
                   o.nspname, moved.relname, 'ops_adopted_' || moved.oid)
  FROM o, moved
  UNION ALL
  SELECT 6, format('ALTER %%s %%I.%%I RENAME TO %%I', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'INDEX' END,
                   o.nspname, new_name, moved.relname)
  FROM o, moved
  UNION ALL
  SELECT 7, pg_get_triggerdef(t.oid) || CASE t.tgenabled
              WHEN 'O' THEN ''
              ELSE format('; ALTER TABLE %%I.%%I %%s TRIGGER %%I', o.nspname, o.relname,
                          CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END,
                          t.tgname)
            END
  FROM o JOIN pg_trigger t ON t.tgrelid = o.oid AND NOT t.tgisinternal
    AND t.tgname NOT IN ('ops_adoption', 'ops_adoption_truncate')
) AS steps
ORDER BY step
