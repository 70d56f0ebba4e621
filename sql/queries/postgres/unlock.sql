-- Gives the session-level advisory lock of that name back.
SELECT pg_advisory_unlock(hashtextextended(%(name)s, 0))
