-- How many children the listed missing parents have.
SELECT coalesce(sum(rows), 0)::bigint FROM ops.missing_parents AS missing WHERE policy = %(policy)s AND {listed}
