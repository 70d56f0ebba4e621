-- Whether the key with that id is neither revoked nor expired.
SELECT EXISTS (
  SELECT FROM ops.api_keys
  WHERE id = %(id)s
    AND revoked_at IS NULL
    AND (expires_at IS NULL OR expires_at > clock_timestamp())
)
