-- Saves how often and how long a run has paused so far, by reason.
UPDATE ops.maintenance_runs SET pauses = %(pauses)s, progress_at = clock_timestamp() WHERE id = %(id)s
