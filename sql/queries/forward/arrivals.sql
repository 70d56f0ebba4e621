-- The events that became visible between two snapshots, after the given position, by transaction; and the earliest and
-- latest time among them. The time of an event does not matter: one of a slow transaction, or an imported old one, is new
-- too. The order is that of the index, so that each batch of a long backlog reads only what it delivers. Times are text,
-- because they may be infinite.
SELECT transaction::text, place, nth, created_at::text, id,
       (min(created_at) OVER ())::text, (max(created_at) OVER ())::text
FROM (
  SELECT transaction, place, nth, created_at, id
  FROM (
    SELECT transaction, place, created_ats, ids
    FROM ops.audit_arrivals
    WHERE (transaction, place) >= (%(transaction)s::xid8, %(place)s::bigint)
      AND NOT pg_visible_in_snapshot(transaction, %(seen)s::pg_snapshot)
      AND pg_visible_in_snapshot(transaction, %(visible)s::pg_snapshot)
    ORDER BY transaction, place
    LIMIT %(limit)s::integer + 1 -- the first one may be the position's own, which was delivered
  ) AS arrived
  CROSS JOIN LATERAL unnest(created_ats, ids) WITH ORDINALITY AS event (created_at, id, nth)
  WHERE (transaction, place, nth) > (%(transaction)s::xid8, %(place)s::bigint, %(nth)s::bigint)
  ORDER BY transaction, place, nth
  LIMIT %(limit)s::integer
) AS batch
ORDER BY batch.transaction, place, nth -- the result's transaction is text
