-- Sets the lock timeout of this transaction.
SELECT set_config('lock_timeout', %(lock_timeout)s, true)
