-- Saves the position of a scan, in the transaction of the batch that reached it.
INSERT INTO ops.maintenance_cursors (policy, scan, position) VALUES (%(policy)s, %(scan)s, %(position)s)
ON CONFLICT (policy) DO UPDATE
SET scan = excluded.scan, position = excluded.position, updated_at = clock_timestamp()
