-- How long each statement of this transaction may run.
SELECT set_config('statement_timeout', %(statement_timeout)s, true)
