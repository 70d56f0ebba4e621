-- The plans that are approved together with that one.
SELECT id, policy, definition, cutoff, worker_clock, eligible, total, fraction, exact, reasons, created_at,
       approved_at, approved_by, used_at, used_by_run, cascaded, follows
FROM ops.plans
WHERE follows = %(id)s
ORDER BY policy
