-- The pause of this database, with NULLs where there is none, and the runs that are throttled now: policy, since when
-- and why.
SELECT pause.id, pause.reason, pause.paused_by, pause.paused_at, pause.ends_at,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(policy, to_char(throttled_since, 'YYYY-MM-DD HH24:MI:SS'),
                                                    throttle_reason) ORDER BY policy), '[]')
        FROM ops.maintenance_runs
        WHERE outcome = 'running' AND throttled_since IS NOT NULL)
FROM (VALUES (1)) AS one (row)
LEFT JOIN LATERAL (
  SELECT id, reason, paused_by, paused_at, ends_at
  FROM ops.maintenance_pauses
  WHERE resumed_at IS NULL AND (ends_at IS NULL OR ends_at > clock_timestamp())
  ORDER BY id DESC
  LIMIT 1
) AS pause ON true
