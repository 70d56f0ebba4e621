-- As take, passing over rows that somebody has locked.
DELETE FROM {heap} AS doomed
USING (
  SELECT doomed.ctid AS tid FROM {heap} AS doomed WHERE {condition} FOR UPDATE OF doomed SKIP LOCKED
) AS free
WHERE doomed.ctid = free.tid
RETURNING {columns}
