-- When each of Dagster's daemons was last heard of, in seconds before now. Asked of Dagster's database.
SELECT daemon_type, extract(epoch FROM now() AT TIME ZONE 'UTC' - max(timestamp))::float8
FROM daemon_heartbeats
GROUP BY daemon_type
