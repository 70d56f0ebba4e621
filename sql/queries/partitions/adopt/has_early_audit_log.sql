-- Whether there is an application's table of the audit log's name with the columns of an event, which our migrations
-- have not been applied to.
SELECT count(*) = 11
FROM unnest(ARRAY[
  'event_type', 'action', 'details', 'status', 'created_by', 'id', 'user_id', 'resource_type', 'resource_id',
  'ip_address', 'duration_ms'
]) AS ours (name)
JOIN pg_attribute a ON a.attrelid = to_regclass('public.audit_logs') AND a.attname = ours.name AND NOT a.attisdropped
