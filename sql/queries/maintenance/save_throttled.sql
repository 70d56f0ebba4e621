-- Saves that a run waits because the throttle has paused it, for so many seconds by now.
UPDATE ops.maintenance_runs
SET throttle_reason = %(reason)s, throttled_since = clock_timestamp() - make_interval(secs => %(seconds)s)
WHERE id = %(id)s
