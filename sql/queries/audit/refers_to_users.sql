-- Whether the audit log has a foreign key to the application's users that PostgreSQL enforces.
SELECT EXISTS (
  SELECT FROM pg_constraint con
  WHERE conrelid = to_regclass('public.audit_logs')
    AND confrelid = to_regclass('public.users')
    AND contype = 'f'
    AND to_jsonb(con) ->> 'conenforced' IS DISTINCT FROM 'false'
)
