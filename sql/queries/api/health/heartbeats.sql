-- The age in seconds of the last heartbeat of each of Dagster's daemons. Runs on Dagster's database.
SELECT daemon_type, extract(epoch FROM now() AT TIME ZONE 'UTC' - max(timestamp))::float8
FROM daemon_heartbeats
GROUP BY daemon_type
