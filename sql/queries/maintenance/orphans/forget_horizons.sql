-- Only the youngest horizon that is old enough is asked for, and those that are still to become so.
DELETE FROM ops.orphan_clock
WHERE policy = %(policy)s
  AND at < (SELECT max(at) FROM ops.orphan_clock WHERE policy = %(policy)s AND at <= %(by)s)
