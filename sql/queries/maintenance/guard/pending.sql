-- The newest plan of each policy, unless it was approved or a complete run of the policy came after it.
SELECT id, policy, definition, cutoff, worker_clock, eligible, total, fraction, exact, reasons, created_at,
       approved_at, approved_by, used_at, used_by_run, cascaded
FROM (SELECT DISTINCT ON (policy) * FROM ops.plans ORDER BY policy, created_at DESC) AS newest
WHERE approved_at IS NULL
  AND NOT EXISTS (
    SELECT FROM ops.maintenance_runs r
    WHERE r.policy = newest.policy AND r.outcome = 'done' AND r.started_at > newest.created_at
  )
ORDER BY created_at DESC
