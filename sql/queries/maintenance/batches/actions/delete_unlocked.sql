-- As delete, passing over rows that another session has locked. A ctid names a row of one heap only.
DELETE FROM {heap} AS doomed
USING (
  SELECT doomed.tableoid AS of_heap, doomed.ctid AS tid FROM {heap} AS doomed WHERE {condition} FOR UPDATE OF doomed SKIP LOCKED
) AS free
WHERE doomed.tableoid = free.of_heap AND doomed.ctid = free.tid
