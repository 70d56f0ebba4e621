-- Deletes what a sweep had listed and was worked through; the next sweep finds again whatever remains.
DELETE FROM ops.missing_parents WHERE policy = %(policy)s AND source = 'sweep' AND since <= %(by)s
