-- Sets the statement timeout of this transaction, and how long it may wait for its client.
SELECT set_config('statement_timeout', %(statement_timeout)s, true),
       set_config('idle_in_transaction_session_timeout', %(idle_timeout)s, true)
