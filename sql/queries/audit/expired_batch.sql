-- Removes some of the events that are older than was said, the oldest first. Ordered and limited, so that
-- one batch reads no more than it removes.
WITH expired AS (
  SELECT created_at, id FROM public.audit_logs
  WHERE created_at < %(cutoff)s
  ORDER BY created_at, id
  LIMIT %(batch)s
)
DELETE FROM public.audit_logs
USING expired
WHERE audit_logs.created_at = expired.created_at AND audit_logs.id = expired.id
  AND audit_logs.created_at < %(cutoff)s
