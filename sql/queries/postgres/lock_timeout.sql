-- How long each lock may be waited for in this transaction.
SELECT set_config('lock_timeout', %(lock_timeout)s, true)
