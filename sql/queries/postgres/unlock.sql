-- Releases the session-level advisory lock of that name.
SELECT pg_advisory_unlock(hashtextextended(%(name)s, 0))
