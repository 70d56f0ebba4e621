-- A person approves a plan, and with it those that follow from it. One that was approved before is not among them.
SELECT id, policy, definition, cutoff, worker_clock, eligible, total, fraction, exact, reasons, created_at,
       approved_at, approved_by, used_at, used_by_run, cascaded, follows
FROM ops.approve_plan(%(id)s, %(by)s)
