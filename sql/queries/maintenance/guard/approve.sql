-- Approves a plan, and the plans that follow from it. Returns those that were not approved before.
SELECT id, policy, definition, cutoff, worker_clock, eligible, total, fraction, exact, reasons, created_at,
       approved_at, approved_by, used_at, used_by_run, cascaded, follows
FROM ops.approve_plan(%(id)s, %(by)s)
