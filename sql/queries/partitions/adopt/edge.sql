-- The primary key that many rows after a position; no row when there are fewer.
SELECT jsonb_build_array({last}) FROM ONLY {old} AS t WHERE {after} ORDER BY {order} OFFSET %(size)s LIMIT 1
