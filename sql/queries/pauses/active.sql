-- The pause of this database that is neither resumed nor over.
SELECT id, reason, paused_by, paused_at, ends_at
FROM ops.maintenance_pauses
WHERE resumed_at IS NULL AND (ends_at IS NULL OR ends_at > clock_timestamp())
ORDER BY id DESC
LIMIT 1
