-- Flushes this session's statistics now; otherwise they may be a second late.
SELECT pg_stat_force_next_flush()
