-- What a sweep had listed and was looked at: whatever is still there, the next sweep finds again.
DELETE FROM ops.missing_parents WHERE policy = %(policy)s AND source = 'sweep' AND since <= %(by)s
