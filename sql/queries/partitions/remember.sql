-- Notes that a partition is about to be detached.
INSERT INTO ops.detached_partitions (partition, schema, name, parent, bounds, lower, upper)
VALUES (%(oid)s, %(schema)s, %(name)s, %(parent)s, %(bounds)s, %(lower)s, %(upper)s)
ON CONFLICT (partition) DO UPDATE
SET schema = excluded.schema, name = excluded.name, parent = excluded.parent, bounds = excluded.bounds,
    lower = excluded.lower, upper = excluded.upper, intended_at = excluded.intended_at
