-- Stores a plan that needs approval.
INSERT INTO ops.plans
  (id, policy, definition, cutoff, worker_clock, eligible, total, fraction, exact, reasons, cascaded, follows)
VALUES
  (%(id)s, %(policy)s, %(definition)s, %(cutoff)s, %(worker_clock)s, %(eligible)s, %(total)s, %(fraction)s,
   %(exact)s, %(reasons)s, %(cascaded)s,
   %(follows)s)
RETURNING id, policy, definition, cutoff, worker_clock, eligible, total, fraction, exact, reasons, created_at,
          approved_at, approved_by, used_at, used_by_run, cascaded, follows
