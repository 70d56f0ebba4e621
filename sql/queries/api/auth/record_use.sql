-- Records when keys were last used. A later time recorded by another process is kept.
UPDATE ops.api_keys AS kept
SET last_used_at = greatest(kept.last_used_at, used.at)
FROM unnest(%(ids)s::uuid[], %(times)s::timestamptz[]) AS used (id, at)
WHERE kept.id = used.id
