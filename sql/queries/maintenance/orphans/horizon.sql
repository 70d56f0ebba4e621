-- The youngest horizon that was recorded by then; no row when none was.
SELECT horizon::text FROM ops.orphan_clock WHERE policy = %(policy)s AND at <= %(by)s ORDER BY at DESC LIMIT 1
