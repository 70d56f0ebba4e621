-- The next entries of missing parents with about as many children as requested: the id of the last entry.
SELECT max(id)
FROM (
  SELECT id, rows, sum(rows) OVER (ORDER BY id) AS so_far
  FROM ops.missing_parents AS missing
  WHERE policy = %(policy)s AND id > %(after)s AND id <= %(until)s AND {listed}
  ORDER BY id
  LIMIT 1000
) AS next
WHERE so_far - rows < %(size)s
