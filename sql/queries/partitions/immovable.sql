-- Why rows must not be moved out of a default partition by deleting and inserting them: a foreign key that refers to
-- them, or a trigger, would act.
SELECT format('the foreign key %%s of %%I.%%I refers to it', conname, n.nspname, c.relname)
FROM pg_constraint con
JOIN pg_class c ON c.oid = conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE contype = 'f' AND confrelid IN (%(table)s, %(default)s) AND conparentid = 0
  AND to_jsonb(con) ->> 'conenforced' IS DISTINCT FROM 'false'
UNION ALL
SELECT format('its trigger %%s would act on each row that is moved', tgname)
FROM pg_trigger
WHERE tgrelid = %(default)s AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 8 <> 0
LIMIT 1
