-- What prevents VACUUM from removing dead row versions in this database, the oldest snapshot first; with `since`, only
-- those older than that transaction id. What a role may not see of a session is NULL. VACUUM itself holds nothing
-- back. A slot's catalog_xmin, which logical decoding needs, holds back system catalogs only.
WITH counted AS (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS now),
held AS (
  SELECT CASE WHEN a.backend_type = 'walsender' THEN 'standby'
              WHEN a.state LIKE 'idle in transaction%%' THEN 'idle in transaction'
              ELSE 'transaction' END AS kind,
         coalesce(a.application_name, '') AS name, a.pid, a.usename::text AS "user",
         greatest(age(a.backend_xid), age(a.backend_xmin)) AS age,
         coalesce(a.xact_start, CASE WHEN a.backend_type = 'walsender' THEN a.backend_start END) AS began,
         a.query, false AS system_only
  FROM pg_stat_activity a
  WHERE a.pid <> pg_backend_pid() AND a.leader_pid IS NULL
    AND (a.datid = (SELECT oid FROM pg_database WHERE datname = current_database())
         OR (a.datid IS NULL AND a.backend_type = 'walsender'))
    AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
  UNION ALL
  SELECT 'prepared transaction', gid, NULL, owner::text, age(transaction), prepared, NULL, false
  FROM pg_prepared_xacts
  WHERE database = current_database()
  UNION ALL
  SELECT 'replication slot', s.slot_name, s.active_pid, r.usename::text, age(s.xmin), NULL, NULL, false
  FROM pg_replication_slots s
  LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid
  UNION ALL
  SELECT 'replication slot', s.slot_name, s.active_pid, r.usename::text, age(s.catalog_xmin), NULL, NULL, true
  FROM pg_replication_slots s
  LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid
)
SELECT kind, name, pid, "user", age,
       extract(epoch FROM clock_timestamp() - began)::float8 AS seconds, query, system_only
FROM held, counted
WHERE age IS NOT NULL AND (%(since)s::bigint IS NULL OR age > counted.now - %(since)s)
ORDER BY age DESC, began
