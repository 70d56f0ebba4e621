-- The youngest horizon that was recorded by that time; no row without one.
SELECT horizon::text FROM ops.orphan_clock WHERE policy = %(policy)s AND at <= %(by)s ORDER BY at DESC LIMIT 1
