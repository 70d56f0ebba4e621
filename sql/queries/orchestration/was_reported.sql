-- Whether an event with these problems was recorded within the last day.
SELECT EXISTS (
  SELECT FROM public.audit_logs
  WHERE created_at > now() - interval '1 day' AND created_by = %(by)s AND action = %(action)s
    AND details -> 'problems' = %(problems)s
)
