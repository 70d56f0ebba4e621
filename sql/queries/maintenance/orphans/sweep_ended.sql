-- The sweep has ended, and with it the time in which the record was incomplete, unless the parent's triggers or
-- heaps have changed meanwhile. Answers whether the record is held against what the sweep found.
UPDATE ops.orphan_tracks SET swept_at = clock_timestamp()
WHERE policy = %(policy)s AND fingerprint = %(fingerprint)s
RETURNING audits
