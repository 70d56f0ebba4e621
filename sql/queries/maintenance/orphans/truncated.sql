-- Whether the parent was truncated.
SELECT EXISTS (SELECT FROM ops.missing_parents WHERE policy = %(policy)s AND keys IS NULL)
