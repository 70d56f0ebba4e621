-- Our triggers of a policy, without those that PostgreSQL created itself for a partition.
SELECT t.tgname, c.oid, n.nspname, c.relname
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgfoid = 'ops.record_deleted_parents'::regproc AND t.tgparentid = 0
  AND starts_with(encode(t.tgargs, 'hex'), encode(convert_to(%(policy)s::text, getdatabaseencoding()), 'hex') || '00')
ORDER BY n.nspname, c.relname, t.tgname
