-- Sets up a session of ours: who it is, how long it may wait, and how values are read and written, whatever the
-- database or role says, as pg_dump does: the text of any value, read by a session set up the same way, is that
-- value again. The search path stays as it is: triggers and operators of extensions are found along it. When the
-- process or its machine is gone, the server stops the statement and lets go of its locks: after a second where
-- that can be seen, after a minute and a half where a machine has just fallen silent. A transaction that removes
-- rows waits for a lock and has to see the holds that were added meanwhile: READ COMMITTED. With row_security off
-- PostgreSQL raises where it would hide rows, which would look as if they were not there.
SELECT set_config('application_name', %(application_name)s, false),
       set_config('client_encoding', 'UTF8', false),
       set_config('datestyle', 'ISO, YMD', false),
       set_config('intervalstyle', 'postgres', false),
       set_config('timezone', 'UTC', false),
       set_config('bytea_output', 'hex', false),
       set_config('extra_float_digits', '3', false),
       set_config('standard_conforming_strings', 'on', false),
       set_config('array_nulls', 'on', false),
       set_config('transform_null_equals', 'off', false),
       set_config('quote_all_identifiers', 'off', false),
       set_config('xmloption', 'content', false),
       set_config('lc_monetary', 'C', false),
       set_config('row_security', %(row_security)s, false),
       set_config('lock_timeout', %(lock_timeout)s, false),
       set_config('statement_timeout', %(statement_timeout)s, false),
       set_config('idle_in_transaction_session_timeout', '0', false),
       set_config('idle_session_timeout', '0', false),
       CASE WHEN current_setting('server_version_num')::integer >= 170000
            THEN set_config('transaction_timeout', '0', false) END,
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('default_transaction_read_only', 'off', false),
       set_config('default_transaction_deferrable', 'off', false),
       -- Otherwise foreign keys would not be held, and triggers not fire. Who may not set it is refused.
       CASE WHEN current_setting('session_replication_role') <> 'origin'
            THEN set_config('session_replication_role', 'origin', false) END,
       set_config('client_connection_check_interval', '1s', false),
       set_config('tcp_keepalives_idle', '30', false),
       set_config('tcp_keepalives_interval', '15', false),
       set_config('tcp_keepalives_count', '4', false)
