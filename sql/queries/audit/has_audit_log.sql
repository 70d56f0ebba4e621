-- Whether the audit log exists: a table with our columns, of any types. A table of the same name without them is
-- the application's.
SELECT count(*) = 16
FROM unnest(ARRAY[
  'event_type', 'action', 'details', 'status', 'created_by', 'id', 'user_id', 'resource_type', 'resource_id',
  'ip_address', 'duration_ms', 'received_at', 'key_id', 'peer_address', 'subject_id', 'origin'
]) AS ours (name)
JOIN pg_attribute a ON a.attrelid = to_regclass('public.audit_logs') AND a.attname = ours.name AND NOT a.attisdropped
