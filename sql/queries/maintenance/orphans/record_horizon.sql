-- Records which transactions have ended by now, so that later on a row's age can be told from the number of the
-- transaction that wrote it. Transactions of other databases write nothing here; whoever cannot be told
-- apart counts as one of ours.
INSERT INTO ops.orphan_clock (policy, horizon)
SELECT %(policy)s, coalesce(min(running.xid), pg_snapshot_xmax(pg_current_snapshot()))
FROM pg_snapshot_xip(pg_current_snapshot()) AS running (xid)
WHERE NOT EXISTS (
  SELECT FROM pg_locks l
  JOIN pg_stat_activity a ON a.pid = l.pid
  WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted
    AND l.transactionid = running.xid::xid AND a.datname <> current_database()
)
RETURNING at
