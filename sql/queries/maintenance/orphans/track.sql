-- The state of a policy's tracking; no row where it was never installed.
SELECT fingerprint, audits, swept_at, swept_at < clock_timestamp() - interval '7 days' FROM ops.orphan_tracks
WHERE policy = %(policy)s
