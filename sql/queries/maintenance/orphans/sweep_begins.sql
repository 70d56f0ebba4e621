-- From here on the record will be complete, once the sweep that begins has ended; it finds what was lost before.
WITH known AS (
  DELETE FROM ops.missing_parents WHERE policy = %(policy)s AND keys IS NULL
)
UPDATE ops.orphan_tracks SET fingerprint = %(fingerprint)s, audits = %(audits)s, swept_at = NULL
WHERE policy = %(policy)s
