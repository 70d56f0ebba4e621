-- Whether there is an audit log that an event can be stored in: ours, or the mission's own. One of the same name and
-- of another shape is the application's.
SELECT count(*) = 11
FROM (VALUES
  ('event_type', 'character varying'), ('action', 'character varying'), ('details', 'jsonb'),
  ('status', 'character varying'), ('created_by', 'character varying'), ('id', 'uuid'), ('user_id', 'uuid'),
  ('resource_type', 'character varying'), ('resource_id', 'uuid'), ('ip_address', 'inet'), ('duration_ms', 'integer')
) AS ours (name, type)
JOIN pg_attribute a ON a.attrelid = to_regclass('public.audit_logs') AND a.attname = ours.name AND NOT a.attisdropped
  AND format_type(a.atttypid, NULL) = ours.type
