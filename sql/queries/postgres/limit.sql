-- How long the statements of this transaction may run from here on.
SELECT set_config('statement_timeout', %(milliseconds)s, true)
