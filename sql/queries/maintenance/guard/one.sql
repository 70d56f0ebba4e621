-- One plan, whatever its state.
SELECT id, policy, definition, cutoff, worker_clock, eligible, total, fraction, exact, reasons, created_at,
       approved_at, approved_by, used_at, used_by_run, cascaded, follows
FROM ops.plans
WHERE id = %(id)s
