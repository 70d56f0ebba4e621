-- As delete_range, passing over rows that somebody has locked; for ranges where it could not get through.
WITH free AS (
  SELECT ctid AS tid FROM {table}
  WHERE ctid >= %(first)s::tid AND ctid < %(after)s::tid AND {column} < %(cutoff)s
  FOR UPDATE SKIP LOCKED
), removed AS (
  DELETE FROM {table} USING free WHERE {table}.ctid = free.tid RETURNING 1
)
SELECT (SELECT count(*) FROM {table} WHERE ctid >= %(first)s::tid AND ctid < %(after)s::tid),
       (SELECT count(*) FROM removed)
