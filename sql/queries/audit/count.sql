-- Counts the matching events. It reads all of them, so it runs with a statement timeout.
SELECT count(*) FROM public.audit_logs WHERE {condition}
