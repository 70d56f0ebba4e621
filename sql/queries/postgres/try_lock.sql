-- Takes the session-level advisory lock of that name if it is free.
SELECT pg_try_advisory_lock(hashtextextended(%(name)s, 0))
