-- Moves the rows of one day from the default partition into that day's table, which is attached next
-- in the same transaction: ATTACH refuses while the default partition holds rows of that range.
WITH moved AS (
  DELETE FROM {default} WHERE {column} >= {lower} AND {column} < {upper} RETURNING *
)
INSERT INTO {partition} SELECT * FROM moved
