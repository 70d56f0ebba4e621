-- What the last sweep that was held against the record of deleted parents found beyond it.
SELECT (details ->> 'unrecorded')::bigint, details -> 'unrecorded_keys'
FROM ops.maintenance_runs
WHERE policy = %(policy)s AND details ? 'unrecorded'
ORDER BY started_at DESC
LIMIT 1
