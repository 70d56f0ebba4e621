-- All targets: until when each has every event, for how many seconds it has not, and what it has acknowledged so far.
SELECT name, host, seen_at, greatest(0, extract(epoch FROM clock_timestamp() - seen_at))::float8, since, events, delivered_at
FROM ops.forward_targets
ORDER BY name
