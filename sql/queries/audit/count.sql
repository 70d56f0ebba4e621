-- How many events match; it reads all of them, so it runs with a time limit.
SELECT count(*) FROM public.audit_logs WHERE {condition}
