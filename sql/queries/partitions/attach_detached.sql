-- Attaches a detached partition again.
SELECT ops.attach_detached(%(oid)s, %(schema)s, %(name)s, %(bounds)s)
