-- Keeps the youngest horizon that is old enough, and those that are not old enough yet; deletes the others.
DELETE FROM ops.orphan_clock
WHERE policy = %(policy)s
  AND at < (SELECT max(at) FROM ops.orphan_clock WHERE policy = %(policy)s AND at <= %(by)s)
