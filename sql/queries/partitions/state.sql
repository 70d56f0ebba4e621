-- The state of a partition: attached, pending, detached, or no row when it was dropped.
SELECT CASE WHEN i.inhdetachpending THEN 'pending'
            WHEN i.inhrelid IS NOT NULL THEN 'attached'
            ELSE 'detached' END
FROM pg_class c
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.oid = %(oid)s
