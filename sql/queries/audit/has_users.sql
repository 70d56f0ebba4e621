-- Whether events refer to a table of users; migration 0001 makes them where there is one.
SELECT EXISTS (
  SELECT FROM pg_constraint
  WHERE conrelid = 'public.audit_logs'::regclass AND conname = 'audit_logs_user_id_fkey'
)
