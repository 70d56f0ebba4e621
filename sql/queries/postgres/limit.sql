-- Sets the statement timeout for the rest of this transaction.
SELECT set_config('statement_timeout', %(limit)s, true)
