-- Once the sweep that begins now has ended, the record is complete: the sweep finds what was not recorded before.
WITH known AS (
  DELETE FROM ops.missing_parents WHERE policy = %(policy)s AND keys IS NULL
)
UPDATE ops.orphan_tracks SET fingerprint = %(fingerprint)s, audits = %(audits)s, swept_at = NULL
WHERE policy = %(policy)s
