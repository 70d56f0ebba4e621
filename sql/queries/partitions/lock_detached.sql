-- Keeps a detached partition as it is, for readers to read, until this transaction ends.
SELECT ops.lock_detached(%(oid)s, %(schema)s, %(name)s, %(bounds)s, 'SHARE')
