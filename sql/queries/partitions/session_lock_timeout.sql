-- Sets this session's lock_timeout.
SELECT set_config('lock_timeout', %(lock_timeout)s, false)
