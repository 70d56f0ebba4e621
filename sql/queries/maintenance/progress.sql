-- Adds a batch to its run, in the batch's own transaction, so that what is recorded is what was removed. Its duration
-- is counted from the start of that transaction, and its WAL from the given position.
UPDATE ops.maintenance_runs
SET rows_scanned = rows_scanned + %(scanned)s,
    rows_removed = rows_removed + %(removed)s,
    rows_archived = rows_archived + %(archived)s,
    bytes_removed = bytes_removed + %(bytes)s,
    wal_bytes = wal_bytes + coalesce(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %(wal)s::pg_lsn), 0)::bigint,
    working_seconds = working_seconds + extract(epoch FROM clock_timestamp() - transaction_timestamp()),
    progress_at = clock_timestamp()
WHERE id = %(id)s
