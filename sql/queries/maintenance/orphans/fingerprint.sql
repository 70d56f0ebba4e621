-- The heaps and triggers of a parent as text: while it stays the same, no row of the parent can have been deleted
-- without its key being recorded. TRUNCATE changes the file, every ALTER TABLE that disables or enables a trigger
-- changes its row, and dropping a partition changes the list. Also the tables where a trigger is missing or disabled.
WITH tree AS (
  SELECT c.oid, c.relkind, n.nspname || '.' || c.relname AS name
  FROM (SELECT relid FROM pg_partition_tree(%(parent)s) UNION SELECT %(parent)s::oid) AS part (relid)
  JOIN pg_class c ON c.oid = part.relid
  JOIN pg_namespace n ON n.oid = c.relnamespace
), ours AS (
  SELECT tree.oid, tree.name, pg_relation_filenode(tree.oid) AS file,
         count(*) FILTER (WHERE t.tgenabled = 'A') AS firing,
         coalesce(string_agg(concat_ws(' ', t.oid, t.xmin, t.tgenabled), ', ' ORDER BY t.oid), '') AS triggers
  FROM tree
  LEFT JOIN pg_trigger t
         ON t.tgrelid = tree.oid AND t.tgfoid = 'ops.record_deleted_parents'::regproc
        AND starts_with(encode(t.tgargs, 'hex'), encode(convert_to(%(policy)s::text, getdatabaseencoding()), 'hex') || '00')
  GROUP BY tree.oid, tree.name
)
SELECT string_agg(format('%%s %%s: %%s', oid, file, triggers), E'\n' ORDER BY oid),
       coalesce(array_agg(name ORDER BY name) FILTER (WHERE firing < 3), '{}')
FROM ours
