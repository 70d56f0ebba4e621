-- Forgets receipts that are older than seven days: by then nobody retries. At most %(limit)s at a time.
DELETE FROM ops.audit_receipts
WHERE id IN (
  SELECT id FROM ops.audit_receipts
  WHERE received_at < clock_timestamp() - interval '7 days'
  ORDER BY received_at
  LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
)
RETURNING 1
