-- Keeps where a sweep stands, in the transaction of the batch that brought it there.
INSERT INTO ops.maintenance_cursors (policy, position) VALUES (%(policy)s, %(position)s)
ON CONFLICT (policy) DO UPDATE SET position = excluded.position, updated_at = clock_timestamp()
