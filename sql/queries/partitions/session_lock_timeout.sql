-- How long each lock may be waited for from now on.
SELECT set_config('lock_timeout', %(lock_timeout)s, false)
