-- Whether every key of the parent has gone at once.
SELECT EXISTS (SELECT FROM ops.missing_parents WHERE policy = %(policy)s AND keys IS NULL)
