-- Drops a detached partition after making sure that it is the one.
SELECT ops.drop_detached(%(oid)s, %(schema)s, %(name)s, %(bounds)s)
