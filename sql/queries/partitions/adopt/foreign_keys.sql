-- Statements that add the foreign keys of the old table that the new one does not have yet.
SELECT format('ALTER TABLE %%I.%%I ADD CONSTRAINT %%I %%s', s.nspname, c.relname, conname, pg_get_constraintdef(f.oid))
FROM pg_constraint f
JOIN pg_class c ON c.oid = %(new)s
JOIN pg_namespace s ON s.oid = c.relnamespace
WHERE conrelid = %(old)s AND contype = 'f'
  AND NOT EXISTS (SELECT FROM pg_constraint n WHERE n.conrelid = %(new)s AND n.conname = f.conname)
ORDER BY conname
