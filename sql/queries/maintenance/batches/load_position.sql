-- The position where the last scan of a policy stopped before its end, if it was a scan with that name.
SELECT position FROM ops.maintenance_cursors WHERE policy = %(policy)s AND scan = %(scan)s
