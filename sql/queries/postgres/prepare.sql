-- Sets up one of our sessions: application_name, timeouts, and the settings for reading and writing values, which
-- override those of the database and role, as in pg_dump: a value written as text and read by a session with the same
-- settings is the same value. The search path is not changed: triggers and operators of extensions need it. When the
-- client process or its machine is gone, the server stops the statement and releases its locks: after a second if the
-- connection was closed, after a minute and a half if the machine no longer answers. READ COMMITTED, because a
-- transaction that deletes rows waits for a lock and must then see holds added in the meantime. With row_security off,
-- PostgreSQL raises an error where it would hide rows, which would otherwise seem not to exist.
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
       -- Otherwise foreign keys would not be enforced and triggers not fire. A user who may not set it is refused.
       CASE WHEN current_setting('session_replication_role') <> 'origin'
            THEN set_config('session_replication_role', 'origin', false) END,
       set_config('client_connection_check_interval', '1s', false),
       set_config('tcp_keepalives_idle', '30', false),
       set_config('tcp_keepalives_interval', '15', false),
       set_config('tcp_keepalives_count', '4', false)
