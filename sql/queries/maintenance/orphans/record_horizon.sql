-- Records which transactions have ended, so that later a row's age can be known from the ID of the transaction that
-- wrote it. Transactions of other databases write nothing here; a session whose database is not visible counts as
-- one of this database.
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
