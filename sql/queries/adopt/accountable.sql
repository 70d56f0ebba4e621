-- Whether there is an audit log that an event can be stored in, the mission's own included.
SELECT count(*) = 5
FROM pg_attribute
WHERE attrelid = to_regclass('public.audit_logs') AND NOT attisdropped
  AND attname IN ('event_type', 'action', 'details', 'status', 'created_by')
