-- Makes a detached partition one again.
SELECT ops.attach_detached(%(oid)s, %(schema)s, %(name)s, %(bounds)s)
