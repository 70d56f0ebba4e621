-- Waits for the transactions that delete rows; later ones see the hold that is added now.
SELECT set_config('lock_timeout', %(lock_timeout)s, true), ops.lock_holds()
