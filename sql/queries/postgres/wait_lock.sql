-- Takes the session-level advisory lock of that name, waiting up to lock_timeout.
SELECT pg_advisory_lock(hashtextextended(%(name)s, 0))
