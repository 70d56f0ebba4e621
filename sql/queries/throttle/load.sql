-- The server's load from other sessions: replication lag of its slowest standby (s), sessions that wait for a lock,
-- active sessions, and the bytes of WAL it has ever written.
SELECT coalesce((SELECT max(extract(epoch FROM replay_lag)) FROM pg_stat_replication), 0)::float8,
       count(*) FILTER (WHERE wait_event_type = 'Lock'),
       count(*) FILTER (WHERE state = 'active'),
       (CASE WHEN pg_is_in_recovery() THEN 0
             ELSE pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') END)::bigint
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name NOT LIKE 'ops %'
