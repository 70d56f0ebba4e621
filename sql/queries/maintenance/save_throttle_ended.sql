-- Saves that a run continues, and how often and how long it was throttled so far, by reason.
UPDATE ops.maintenance_runs
SET throttled = %(throttled)s, progress_at = clock_timestamp(), throttle_reason = NULL, throttled_since = NULL
WHERE id = %(id)s
