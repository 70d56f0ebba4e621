-- The next rows of missing parents whose children are about as many as asked for: the last of those rows.
SELECT max(id)
FROM (
  SELECT id, rows, sum(rows) OVER (ORDER BY id) AS so_far
  FROM ops.missing_parents AS missing
  WHERE policy = %(policy)s AND id > %(after)s AND id <= %(until)s AND {listed}
  ORDER BY id
  LIMIT 1000
) AS next
WHERE so_far - rows < %(size)s
