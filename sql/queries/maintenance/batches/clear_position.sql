-- Deletes the saved position when a scan has reached its end.
DELETE FROM ops.maintenance_cursors WHERE policy = %(policy)s
