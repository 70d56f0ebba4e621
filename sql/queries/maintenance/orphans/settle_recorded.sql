-- Recorded keys that were worked through: those without an orphan are deleted; where one remains, because it was
-- locked, on hold, or written later, its grace period begins again.
WITH looked_at AS (
  SELECT id, EXISTS (
           SELECT FROM unnest({arrays}) AS key ({keys})
           JOIN {child} AS target ON {same_key}
           WHERE {missing}
         ) AS is_left
  FROM ops.missing_parents AS missing
  WHERE policy = %(policy)s AND source = 'deleted' AND keys IS NOT NULL AND since <= %(by)s
), again AS (
  UPDATE ops.missing_parents AS missing SET since = clock_timestamp(), rows = NULL
  FROM looked_at WHERE looked_at.is_left AND missing.policy = %(policy)s AND missing.id = looked_at.id
)
DELETE FROM ops.missing_parents AS missing
USING looked_at
WHERE NOT looked_at.is_left AND missing.policy = %(policy)s AND missing.id = looked_at.id
