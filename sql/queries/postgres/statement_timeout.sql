-- The statement timeout that holds now.
SELECT current_setting('statement_timeout')
