-- Takes the session-level advisory lock of that name in shared mode.
SELECT pg_advisory_lock_shared(hashtextextended(%(name)s, 0))
