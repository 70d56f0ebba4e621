-- A person approves a plan, and with it those that follow from it.
UPDATE ops.plans SET approved_at = clock_timestamp(), approved_by = %(by)s
WHERE (id = %(id)s OR follows = %(id)s) AND used_at IS NULL
RETURNING id, policy, definition, cutoff, worker_clock, eligible, total, fraction, exact, reasons, created_at,
          approved_at, approved_by, used_at, used_by_run, cascaded, follows
