-- Keeps where a sweep stands, in the transaction of the batch that brought it there.
INSERT INTO ops.maintenance_cursors (policy, walk, position) VALUES (%(policy)s, %(walk)s, %(position)s)
ON CONFLICT (policy) DO UPDATE
SET walk = excluded.walk, position = excluded.position, updated_at = clock_timestamp()
