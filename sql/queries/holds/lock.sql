-- Waits for the batches under way, which hold this lock shared; those that follow see what is added now.
SELECT set_config('lock_timeout', %(lock_timeout)s, true),
       pg_advisory_xact_lock(hashtextextended('ops: holds', 0))
