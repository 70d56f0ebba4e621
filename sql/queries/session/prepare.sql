-- Sets up a session of ours: who it is, the time zone it reads in, and how long it may wait.
SELECT set_config('application_name', %(application_name)s, false),
       set_config('timezone', 'UTC', false),
       set_config('lock_timeout', %(lock_timeout)s, false),
       set_config('statement_timeout', %(statement_timeout)s, false)
