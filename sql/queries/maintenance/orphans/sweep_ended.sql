-- The sweep has ended, so the record is complete, unless the parent's triggers or heaps have changed meanwhile. Returns
-- whether the record is compared with what the sweep found.
UPDATE ops.orphan_tracks SET swept_at = clock_timestamp()
WHERE policy = %(policy)s AND fingerprint = %(fingerprint)s
RETURNING audits
