-- The foreign keys of these tables, or to them, that are NOT ENFORCED: name, table, referenced table, and the
-- statement that enforces it. PostgreSQL before 18 has no such column, and enforces all.
SELECT con.conname::text, format('%%s.%%s', n.nspname, c.relname), format('%%s.%%s', pn.nspname, p.relname),
       format('ALTER TABLE %%I.%%I ALTER CONSTRAINT %%I ENFORCED;', n.nspname, c.relname, con.conname)
FROM pg_constraint con
JOIN pg_class c ON c.oid = con.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = con.confrelid
JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE con.contype = 'f' AND con.conparentid = 0 AND to_jsonb(con) ->> 'conenforced' = 'false'
  AND (con.conrelid = ANY (%(tables)s::oid[]) OR con.confrelid = ANY (%(tables)s::oid[]))
ORDER BY 2, 1
