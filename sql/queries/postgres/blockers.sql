-- The sessions with a lock that an ALTER TABLE of a partitioned table would wait for, oldest transaction first: on the
-- table itself (in the given mode), on the affected partitions, and on the tables it refers to, whose foreign keys are
-- created or dropped with a partition.
WITH needed (relation, mode) AS (
  SELECT %(table)s::oid, %(mode)s
  UNION ALL SELECT unnest(%(partitions)s::oid[]), 'AccessExclusiveLock'
  UNION ALL SELECT confrelid, 'ShareRowExclusiveLock' FROM pg_constraint
            WHERE conrelid = %(table)s AND contype = 'f'
), held AS (
  SELECT DISTINCT ON (l.virtualtransaction) l.*
  FROM pg_locks l
  JOIN needed n ON n.relation = l.relation
  WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND CASE n.mode
          WHEN 'AccessExclusiveLock' THEN true
          WHEN 'ShareUpdateExclusiveLock' THEN l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock',
            'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
          WHEN 'AccessShareLock' THEN l.mode = 'AccessExclusiveLock'
          ELSE l.mode NOT IN ('AccessShareLock', 'RowShareLock')
        END
)
SELECT h.pid, coalesce(a.usename, p.owner), a.application_name,
       extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared))::float8 AS seconds,
       format('%%I.%%I', n.nspname, c.relname), h.mode, left(a.query, 200), p.gid
FROM held h
JOIN pg_class c ON c.oid = h.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_activity a ON a.pid = h.pid
LEFT JOIN pg_prepared_xacts p ON h.pid IS NULL AND h.virtualtransaction = '-1/' || p.transaction
ORDER BY seconds DESC NULLS LAST
