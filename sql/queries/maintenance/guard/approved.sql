-- The newest plan of a policy that was approved and not used. A complete run of the policy that came after it
-- has made it pointless.
SELECT id, policy, definition, cutoff, worker_clock, eligible, total, fraction, exact, reasons, created_at,
       approved_at, approved_by, used_at, used_by_run, cascaded
FROM ops.plans p
WHERE policy = %(policy)s AND approved_at IS NOT NULL AND used_at IS NULL
  AND NOT EXISTS (
    SELECT FROM ops.maintenance_runs r
    WHERE r.policy = p.policy AND r.outcome = 'done' AND r.started_at > p.created_at
  )
ORDER BY created_at DESC
LIMIT 1
