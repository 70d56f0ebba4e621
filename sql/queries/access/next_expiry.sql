-- When the next valid key expires that no newer one with its name outlives.
SELECT min(k.expires_at)
FROM ops.api_keys AS k
WHERE k.revoked_at IS NULL AND k.expires_at > now()
  AND NOT EXISTS (
    SELECT
    FROM ops.api_keys AS n
    WHERE n.name = k.name AND n.revoked_at IS NULL AND (n.created_at, n.id) > (k.created_at, k.id)
      AND (n.expires_at IS NULL OR n.expires_at > k.expires_at)
  )
