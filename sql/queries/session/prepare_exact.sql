-- Sets up the session that archives: as every other of ours, and so that the text of any value, read by a
-- session set up the same way, is that value again (pg_dump sets the same). A commit lasts when it is
-- answered, and a client that is gone is noticed within a second.
SELECT set_config('application_name', {application_name}, false),
       set_config('timezone', 'UTC', false),
       set_config('lock_timeout', {lock_timeout}, false),
       set_config('statement_timeout', {statement_timeout}, false),
       set_config('synchronous_commit', 'on', false),
       set_config('client_connection_check_interval', '1s', false),
       set_config('client_encoding', 'UTF8', false),
       set_config('datestyle', 'ISO', false),
       set_config('intervalstyle', 'postgres', false),
       set_config('extra_float_digits', '3', false),
       set_config('bytea_output', 'hex', false),
       set_config('xmloption', 'content', false),
       set_config('lc_monetary', 'C', false)
