-- The next changes to bring over. One by one: a transaction that was quick to record its change may be slow to
-- commit, and "all up to the last one" would come to mean more from one statement to the next.
SELECT array_agg(place) FROM (
  SELECT place FROM {changes} WHERE place <= %(end)s ORDER BY place LIMIT %(size)s
) AS next
