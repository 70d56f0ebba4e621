-- The next changes to apply. By single positions: a transaction that recorded a change early may commit late, so "all
-- up to the last one" could mean different changes from one statement to the next.
SELECT array_agg(place) FROM (
  SELECT place FROM {changes} WHERE place <= %(end)s ORDER BY place LIMIT %(size)s
) AS next
