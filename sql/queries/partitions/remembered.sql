-- The partitions of a table that were to be detached and dropped, and are not recorded as dropped.
SELECT partition, schema, name, lower, upper, false, bounds, parent, 'r'
FROM ops.detached_partitions
WHERE parent = %(table)s
ORDER BY upper
