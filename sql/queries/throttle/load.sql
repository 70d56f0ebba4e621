-- What the server is busy with besides this session: how far its slowest standby is behind (s), how many
-- sessions wait for a lock, how many are active, and the bytes of WAL it has ever written.
SELECT coalesce((SELECT max(extract(epoch FROM replay_lag)) FROM pg_stat_replication), 0)::float8,
       count(*) FILTER (WHERE wait_event_type = 'Lock'),
       count(*) FILTER (WHERE state = 'active'),
       (CASE WHEN pg_is_in_recovery() THEN 0
             ELSE pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') END)::bigint
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name NOT LIKE 'ops %'
