-- The newest plan of a policy that was approved and not used. A complete run of the policy after it makes it
-- obsolete, whatever its checks found; a plan that follows from another one, a run that deleted rows after that one was used.
SELECT id, policy, definition, cutoff, worker_clock, eligible, total, fraction, exact, reasons, created_at,
       approved_at, approved_by, used_at, used_by_run, cascaded, follows
FROM ops.plans p
WHERE policy = %(policy)s AND approved_at IS NOT NULL AND used_at IS NULL
  AND NOT EXISTS (
    SELECT FROM ops.maintenance_runs r
    WHERE r.policy = p.policy AND coalesce(r.details ->> 'work_outcome', r.outcome) = 'done'
      AND CASE WHEN p.follows IS NULL THEN r.started_at > p.created_at
               ELSE r.rows_removed > 0
                    AND r.started_at > (SELECT used_at FROM ops.plans first WHERE first.id = p.follows) END
  )
ORDER BY created_at DESC
LIMIT 1
