-- As delete_returning, skipping rows that another session has locked. A ctid identifies a row within one heap only.
DELETE FROM {heap} AS target
USING (
  SELECT target.tableoid AS of_heap, target.ctid AS tid FROM {heap} AS target WHERE {condition} FOR UPDATE OF target SKIP LOCKED
) AS free
WHERE target.tableoid = free.of_heap AND target.ctid = free.tid
RETURNING {columns}
