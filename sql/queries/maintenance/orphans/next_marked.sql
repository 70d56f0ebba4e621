-- The next entries of marked orphans of one heap, with about as many orphans as requested: that heap, and the id of the
-- last entry; NULL and NULL at the end.
SELECT min(heap)::bigint, max(id)
FROM (
  SELECT id, heap, rows, sum(rows) OVER upward AS so_far,
         bool_and(heap = first_heap) OVER upward AS of_one_heap
  FROM (
    SELECT id, heap, rows, first_value(heap) OVER (ORDER BY id) AS first_heap
    FROM ops.missing_parents AS missing
    WHERE policy = %(policy)s AND id > %(after)s AND id <= %(until)s AND {listed}
    ORDER BY id
    LIMIT 1000
  ) AS next
  WINDOW upward AS (ORDER BY id)
) AS next
WHERE of_one_heap AND so_far - rows < %(size)s
