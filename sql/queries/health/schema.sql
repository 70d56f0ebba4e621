-- Whether our tables are there.
SELECT to_regclass('public.audit_logs') IS NOT NULL AND to_regclass('ops.api_keys') IS NOT NULL
