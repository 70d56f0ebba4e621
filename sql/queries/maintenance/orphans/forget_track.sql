-- Tracking is removed, and what it has recorded is of no more use.
WITH recorded AS (
  DELETE FROM ops.missing_parents WHERE policy = %(policy)s AND source = 'deleted'
)
DELETE FROM ops.orphan_tracks WHERE policy = %(policy)s
