-- Whether a sweep has listed missing parents that are still to be looked at.
SELECT EXISTS (SELECT FROM ops.missing_parents WHERE policy = %(policy)s AND source = 'sweep')
