-- For each policy: the time of its last complete run, the rows that remained, and the outcome of its newest run. The
-- run of a policy that is observed only is complete, and what it would have deleted is no backlog.
SELECT wanted.policy, done.finished_at, done.rows_left, newest.outcome, newest.stopped_reason
FROM unnest(%(policies)s::text[]) WITH ORDINALITY AS wanted (policy, nth)
LEFT JOIN LATERAL (
  SELECT finished_at, CASE outcome WHEN 'done' THEN rows_left END AS rows_left
  FROM ops.maintenance_runs
  WHERE policy = wanted.policy AND outcome IN ('done', 'observed')
  ORDER BY started_at DESC
  LIMIT 1
) AS done ON true
LEFT JOIN LATERAL (
  SELECT outcome, stopped_reason
  FROM ops.maintenance_runs
  WHERE policy = wanted.policy AND outcome <> 'running'
  ORDER BY started_at DESC
  LIMIT 1
) AS newest ON true
ORDER BY wanted.nth
