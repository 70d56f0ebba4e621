-- The newest plan of each policy, unless it was approved or a complete run came after it: of the policy, or where it
-- follows from another plan, of that plan's policy.
SELECT id, policy, definition, cutoff, worker_clock, eligible, total, fraction, exact, reasons, created_at,
       approved_at, approved_by, used_at, used_by_run, cascaded, follows
FROM (SELECT DISTINCT ON (policy) * FROM ops.plans ORDER BY policy, created_at DESC) AS newest
WHERE approved_at IS NULL
  AND NOT EXISTS (
    SELECT FROM ops.maintenance_runs r
    WHERE coalesce(r.details ->> 'work_outcome', r.outcome) = 'done' AND r.started_at > newest.created_at
      AND r.policy = coalesce((SELECT first.policy FROM ops.plans first WHERE first.id = newest.follows),
                              newest.policy)
  )
ORDER BY created_at DESC
