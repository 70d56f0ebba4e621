-- What the last sweep that audited the record of deleted parents found that was not recorded.
SELECT (details ->> 'unrecorded')::bigint, details -> 'unrecorded_keys'
FROM ops.maintenance_runs
WHERE policy = %(policy)s AND details ? 'unrecorded'
ORDER BY started_at DESC
LIMIT 1
