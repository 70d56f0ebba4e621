-- Takes the session-level advisory lock of that name, shared with whoever else holds it so.
SELECT pg_advisory_lock_shared(hashtextextended(%(name)s, 0))
