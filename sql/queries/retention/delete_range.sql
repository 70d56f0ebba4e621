-- Removes the expired rows of a range of blocks and says how many rows it looked at and removed.
-- A range of TIDs needs no index and reads each block once, whatever order the rows are in.
WITH removed AS (
  DELETE FROM {table}
  WHERE ctid >= %(first)s::tid AND ctid < %(after)s::tid AND {column} < %(cutoff)s
  RETURNING 1
)
SELECT (SELECT count(*) FROM {table} WHERE ctid >= %(first)s::tid AND ctid < %(after)s::tid),
       (SELECT count(*) FROM removed)
