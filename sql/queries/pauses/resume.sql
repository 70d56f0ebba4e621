-- Ends the pauses of this database that are active, and returns them.
SELECT id, reason, paused_by, paused_at, ends_at FROM ops.resume(%(by)s)
