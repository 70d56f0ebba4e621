-- Keeps a detached partition unchanged, but readable, until this transaction ends.
SELECT ops.lock_detached(%(oid)s, %(schema)s, %(name)s, %(bounds)s, 'SHARE')
