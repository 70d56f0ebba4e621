-- The replication slots of the server, or of this database, that no consumer uses: name, the WAL that they keep, whether
-- they hold back VACUUM, and the statement that drops it.
SELECT s.slot_name,
       coalesce(pg_size_pretty(greatest(0, pg_wal_lsn_diff(
         CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, s.restart_lsn))),
         'none'),
       coalesce(s.xmin, s.catalog_xmin) IS NOT NULL,
       format('-- if its consumer no longer exists: SELECT pg_drop_replication_slot(%L);', s.slot_name)
FROM pg_replication_slots s
WHERE NOT s.active AND (s.database IS NULL OR s.database = current_database())
ORDER BY s.slot_name
