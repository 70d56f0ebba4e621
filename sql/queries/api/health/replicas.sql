-- The replay lag of each standby, in seconds.
SELECT coalesce(nullif(application_name, ''), client_addr::text, 'a standby'),
       coalesce(extract(epoch FROM replay_lag), 0)::float8
FROM pg_stat_replication
