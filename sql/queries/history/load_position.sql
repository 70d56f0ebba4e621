-- Where the last sweep of a policy stopped before its end.
SELECT position FROM ops.maintenance_cursors WHERE policy = %(policy)s
