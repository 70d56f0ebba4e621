-- Whether a sweep has listed missing parents that are not worked through yet.
SELECT EXISTS (SELECT FROM ops.missing_parents WHERE policy = %(policy)s AND source = 'sweep')
