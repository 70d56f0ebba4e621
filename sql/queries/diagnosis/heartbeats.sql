-- Of each of Dagster's daemons: the process that sent its last heartbeat, and how many seconds ago. Runs on Dagster's
-- database.
SELECT daemon_type, daemon_id, extract(epoch FROM now() AT TIME ZONE 'UTC' - timestamp)::float8
FROM daemon_heartbeats
ORDER BY daemon_type
