-- Drops a detached partition, if it is the one that was chosen.
SELECT ops.drop_detached(%(oid)s, %(schema)s, %(name)s, %(bounds)s)
