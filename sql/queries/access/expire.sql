-- Lets a valid key expire at that time, never later than it would have.
UPDATE ops.api_keys
SET expires_at = least(expires_at, %(at)s)
WHERE id = %(id)s
  AND revoked_at IS NULL
  AND (expires_at IS NULL OR expires_at > clock_timestamp())
RETURNING expires_at
