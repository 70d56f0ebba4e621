-- Moves the rows of a range of time from the default partition into a new table, which is attached next in the same
-- transaction: ATTACH fails while the default partition has rows of that range.
WITH moved AS (
  DELETE FROM {default} WHERE {column} >= %(lower)s AND {column} < %(upper)s RETURNING {columns}
)
INSERT INTO {partition} ({columns}) SELECT {columns} FROM moved
