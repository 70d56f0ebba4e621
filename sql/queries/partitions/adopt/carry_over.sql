-- Statements that give the new table what LIKE does not copy: identity, indexes, owner, comment and privileges. An
-- index gets a name that says which index it replaces.
WITH new AS (
  SELECT format('%%I.%%I', n.nspname, c.relname) AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid = %(new)s
)
SELECT statement FROM new CROSS JOIN LATERAL (
  SELECT 1 AS step, format(
           'ALTER TABLE %%s ALTER COLUMN %%I ADD GENERATED %%s AS IDENTITY (SEQUENCE NAME %%I.%%I '
           'INCREMENT BY %%s MINVALUE %%s MAXVALUE %%s START WITH %%s CACHE %%s %%s)',
           new.name, a.attname, CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
           n.nspname, 'ops_adoption_' || s.seqrelid,
           s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache,
           CASE WHEN s.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END) AS statement
  FROM pg_attribute a
  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid
    AND d.refobjsubid = a.attnum AND d.classid = 'pg_class'::regclass AND d.deptype = 'i'
  JOIN pg_sequence s ON s.seqrelid = d.objid
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE a.attrelid = %(old)s AND a.attidentity <> ''
  UNION ALL
  SELECT 2, CASE WHEN u.oid IS NOT NULL
    THEN format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', new.name, 'ops_adoption_' || x.oid,
                pg_get_constraintdef(u.oid))
    ELSE format('CREATE %%sINDEX %%I ON %%s USING %%s', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END,
                'ops_adoption_' || x.oid, new.name,
                substr(pg_get_indexdef(x.oid), 1 + length(
                  format('CREATE %%sINDEX %%I ON %%I.%%I USING ', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END,
                         x.relname, n.nspname, c.relname))))
    END
  FROM pg_index i
  JOIN pg_class x ON x.oid = i.indexrelid
  JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_constraint u ON u.conindid = x.oid AND u.contype = 'u' AND u.conrelid = c.oid
  WHERE i.indrelid = %(old)s AND NOT i.indisprimary AND i.indisvalid
  UNION ALL
  SELECT 3, format('ALTER TABLE %%s OWNER TO %%I', new.name, pg_get_userbyid(relowner))
  FROM pg_class WHERE oid = %(old)s
  UNION ALL
  SELECT 4, format('COMMENT ON TABLE %%s IS %%L', new.name, obj_description(%(old)s, 'pg_class'))
  WHERE obj_description(%(old)s, 'pg_class') IS NOT NULL
  UNION ALL
  -- Revokes what default privileges have granted on the new table; then grants what the old one has.
  SELECT 5, format('REVOKE ALL ON %%s FROM %%s', new.name,
                   CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END)
  FROM pg_class c CROSS JOIN aclexplode(c.relacl) x
  WHERE c.oid = %(new)s AND EXISTS (SELECT FROM pg_class WHERE oid = %(old)s)
  UNION
  SELECT 6, format('GRANT %%s%%s ON %%s TO %%s%%s', x.privilege_type,
                   CASE WHEN x.attname IS NULL THEN '' ELSE format(' (%%I)', x.attname) END, new.name,
                   CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                   CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
  FROM (
    SELECT NULL::name AS attname, e.* FROM pg_class c CROSS JOIN aclexplode(c.relacl) e WHERE c.oid = %(old)s
    UNION ALL
    SELECT a.attname, e.* FROM pg_attribute a CROSS JOIN aclexplode(a.attacl) e
    WHERE a.attrelid = %(old)s AND NOT a.attisdropped
  ) x
) AS steps
ORDER BY step
