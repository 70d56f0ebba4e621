-- Whether there are such missing parents.
SELECT EXISTS (SELECT FROM ops.missing_parents AS missing WHERE policy = %(policy)s AND {listed})
