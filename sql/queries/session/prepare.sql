-- Sets up a session of ours: who it is, the time zone it reads in, how long it may wait. When the process
-- or its machine is gone, the server stops the statement and lets go of its locks: after a second where
-- that can be seen, after a minute and a half where a machine has just fallen silent. A transaction that
-- removes rows waits for a lock and has to see the holds that were added meanwhile: READ COMMITTED.
SELECT set_config('application_name', %(application_name)s, false),
       set_config('timezone', 'UTC', false),
       set_config('lock_timeout', %(lock_timeout)s, false),
       set_config('statement_timeout', %(statement_timeout)s, false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('client_connection_check_interval', '1s', false),
       set_config('tcp_keepalives_idle', '30', false),
       set_config('tcp_keepalives_interval', '15', false),
       set_config('tcp_keepalives_count', '4', false)
