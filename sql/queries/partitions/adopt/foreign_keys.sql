-- Statements that give the new table the foreign keys of the old one that it does not have yet.
SELECT format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', %(new)s::regclass, conname, pg_get_constraintdef(oid))
FROM pg_constraint f
WHERE conrelid = %(old)s AND contype = 'f'
  AND NOT EXISTS (SELECT FROM pg_constraint n WHERE n.conrelid = %(new)s AND n.conname = f.conname)
ORDER BY conname
