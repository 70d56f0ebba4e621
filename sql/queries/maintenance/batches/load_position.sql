-- Where the last sweep of a policy stopped before its end, if it walked the table in the same way.
SELECT position FROM ops.maintenance_cursors WHERE policy = %(policy)s AND scan = %(scan)s
