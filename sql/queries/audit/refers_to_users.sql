-- Whether the audit log has a foreign key to the application's users.
SELECT EXISTS (
  SELECT FROM pg_constraint
  WHERE conrelid = to_regclass('public.audit_logs')
    AND confrelid = to_regclass('public.users')
    AND contype = 'f'
)
