-- Saves how often and how long a run has paused so far, by reason, when a pause has ended.
UPDATE ops.maintenance_runs
SET pauses = %(pauses)s, progress_at = clock_timestamp(), throttle_reason = NULL, throttled_since = NULL
WHERE id = %(id)s
