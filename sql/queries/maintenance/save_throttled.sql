-- Saves that a run is throttled at this moment, for so many seconds by now.
UPDATE ops.maintenance_runs
SET throttle_reason = %(reason)s, throttled_since = clock_timestamp() - make_interval(secs => %(seconds)s)
WHERE id = %(id)s
