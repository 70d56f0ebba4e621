-- Records that a policy failed in a Dagster run: in its row of that run, where the policy itself had ended and its checks
-- failed, or in a row of its own, where it had not begun. What is recorded as failed, interrupted or skipped stays so.
WITH newest AS (
  SELECT id, outcome
  FROM ops.maintenance_runs
  WHERE policy = %(policy)s AND dagster_run_id = %(dagster_run_id)s
  ORDER BY id DESC
  LIMIT 1
), failed AS (
  UPDATE ops.maintenance_runs run
  SET outcome = 'failed', stopped_reason = %(reason)s,
      details = run.details || jsonb_build_object('work_outcome', run.outcome)
  FROM newest
  WHERE run.id = newest.id AND newest.outcome NOT IN ('running', 'failed', 'interrupted', 'skipped')
)
INSERT INTO ops.maintenance_runs (policy, started_at, finished_at, outcome, stopped_reason, dagster_run_id)
SELECT %(policy)s, ended.at, ended.at, 'failed', %(reason)s, %(dagster_run_id)s
FROM (SELECT coalesce(%(at)s::timestamptz, clock_timestamp()) AS at) AS ended
WHERE NOT EXISTS (SELECT FROM newest)
