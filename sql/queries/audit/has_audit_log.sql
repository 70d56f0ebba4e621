-- Whether there is an audit log that an event can be stored in: it has the columns of ours, whatever their types have
-- become. One of the same name without them is the application's.
SELECT count(*) = 11
FROM unnest(ARRAY[
  'event_type', 'action', 'details', 'status', 'created_by', 'id', 'user_id', 'resource_type', 'resource_id',
  'ip_address', 'duration_ms'
]) AS ours (name)
JOIN pg_attribute a ON a.attrelid = to_regclass('public.audit_logs') AND a.attname = ours.name AND NOT a.attisdropped
