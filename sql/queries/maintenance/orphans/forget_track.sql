-- Tracking was removed: deletes what it has recorded.
WITH recorded AS (
  DELETE FROM ops.missing_parents WHERE policy = %(policy)s AND source = 'deleted'
)
DELETE FROM ops.orphan_tracks WHERE policy = %(policy)s
