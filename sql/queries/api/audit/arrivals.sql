-- The events that became visible between two snapshots, in the order of arrival, after the given position.
-- The time of an event does not matter: one of a slow transaction, or an imported old one, is new too.
-- A few arrivals at a time, because each may have a thousand events.
SELECT place, nth, created_at, id
FROM (
  SELECT place, created_ats, ids
  FROM ops.audit_arrivals
  WHERE transaction >= pg_snapshot_xmin(%(seen)s::pg_snapshot)
    AND NOT pg_visible_in_snapshot(transaction, %(seen)s::pg_snapshot)
    AND pg_visible_in_snapshot(transaction, %(visible)s::pg_snapshot)
    AND place >= %(place)s::bigint
  ORDER BY place
  LIMIT 100
) AS arrived
CROSS JOIN LATERAL unnest(created_ats, ids) WITH ORDINALITY AS event (created_at, id, nth)
WHERE (place, nth) > (%(place)s::bigint, %(nth)s::bigint)
ORDER BY place, nth
LIMIT 500
