-- The keys that expire soon, or have expired and were used shortly before: the next one to expire first. A key is
-- replaced where a newer one has its name and outlives it; then it is of interest only if it was used since.
SELECT k.id, k.name, k.scopes, k.databases, k.expires_at, k.last_used_at, k.expires_at <= now(), newer.id IS NOT NULL
FROM ops.api_keys AS k
LEFT JOIN LATERAL (
  SELECT n.id, n.created_at
  FROM ops.api_keys AS n
  WHERE n.name = k.name AND n.revoked_at IS NULL AND (n.created_at, n.id) > (k.created_at, k.id)
    AND (n.expires_at IS NULL OR n.expires_at > greatest(k.expires_at, now()))
  ORDER BY n.created_at
  LIMIT 1
) AS newer ON true
WHERE k.revoked_at IS NULL
  AND CASE
    WHEN k.expires_at > now()
    -- A key that is made for a few hours would otherwise be about to expire all its life.
    THEN k.expires_at - now() < least(%(notice)s::interval, (k.expires_at - k.created_at) / 3)
    ELSE k.expires_at > now() - %(notice)s::interval AND k.last_used_at > k.expires_at - %(lately)s::interval
  END
  AND (newer.id IS NULL OR k.last_used_at > newer.created_at)
ORDER BY k.expires_at, k.id
