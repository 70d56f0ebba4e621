-- Records a run that was skipped because another run of the same policy is running.
INSERT INTO ops.maintenance_runs (policy, finished_at, outcome, stopped_reason, dagster_run_id)
VALUES (%(policy)s, clock_timestamp(), 'skipped', %(stopped_reason)s, %(dagster_run_id)s)
RETURNING id
