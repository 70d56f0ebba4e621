-- Pauses maintenance of this database; replaces a pause that is active.
SELECT id, reason, paused_by, paused_at, ends_at FROM ops.pause(%(reason)s, %(by)s, %(ends_at)s)
