-- Records that a policy's run has ended.
UPDATE ops.maintenance_runs
SET outcome = %(outcome)s, stopped_reason = %(stopped_reason)s, rows_remaining = %(remaining)s, throttled = %(throttled)s,
    details = details || %(details)s, finished_at = clock_timestamp(), throttle_reason = NULL, throttled_since = NULL
WHERE id = %(id)s
