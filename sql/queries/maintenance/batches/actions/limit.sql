-- No hold can be added until this transaction ends; sets how long it may wait for a lock and run, and whether its
-- commit waits for the disk. Returns the current WAL position.
SELECT ops.keep_holds()::text,
       set_config('lock_timeout', %(lock_timeout)s, true),
       set_config('statement_timeout', %(statement_timeout)s, true),
       set_config('synchronous_commit', %(synchronous_commit)s, true),
       pg_current_wal_insert_lsn()::text
