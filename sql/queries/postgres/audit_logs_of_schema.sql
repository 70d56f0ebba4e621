-- The schema of the Ops Pipeline that public.audit_logs belongs to, if it is not schema ops.
SELECT n.nspname
FROM pg_trigger t
JOIN pg_proc p ON p.oid = t.tgfoid AND p.proname = 'record_arrivals'
JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname <> 'ops'
WHERE t.tgrelid = to_regclass('public.audit_logs') AND t.tgname = 'record_arrivals'
