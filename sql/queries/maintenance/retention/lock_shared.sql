-- Until this transaction is over no hold can be added.
SELECT pg_advisory_xact_lock_shared(hashtextextended('ops: holds', 0))
