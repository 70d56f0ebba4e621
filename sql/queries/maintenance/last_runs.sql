-- For each policy: its last complete run, the outcome of its last ended run, and its newest run, ended or not. The run of
-- a policy that is observed only is complete, and what it would have deleted is not a backlog.
SELECT wanted.policy, done.finished_at AS done_at, done.rows_remaining AS done_remaining,
       ended.outcome AS ended_outcome, ended.stopped_reason AS ended_reason,
       newest.outcome, newest.started_at, newest.finished_at, newest.rows_removed AS removed,
       ended.rows_remaining AS remaining, newest.dagster_run_id,
       newest.throttle_reason, newest.throttled_since
FROM unnest(%(policies)s::text[]) WITH ORDINALITY AS wanted (policy, nth)
LEFT JOIN LATERAL (
  SELECT finished_at, CASE outcome WHEN 'done' THEN rows_remaining END AS rows_remaining
  FROM ops.maintenance_runs
  WHERE policy = wanted.policy AND outcome IN ('done', 'observed')
  ORDER BY started_at DESC
  LIMIT 1
) AS done ON true
LEFT JOIN LATERAL (
  SELECT outcome, stopped_reason, rows_remaining
  FROM ops.maintenance_runs
  WHERE policy = wanted.policy AND outcome <> 'running'
  ORDER BY started_at DESC
  LIMIT 1
) AS ended ON true
LEFT JOIN LATERAL (
  SELECT outcome, started_at, finished_at, rows_removed, dagster_run_id, throttle_reason, throttled_since
  FROM ops.maintenance_runs
  WHERE policy = wanted.policy
  ORDER BY started_at DESC, id DESC
  LIMIT 1
) AS newest ON true
ORDER BY wanted.nth
