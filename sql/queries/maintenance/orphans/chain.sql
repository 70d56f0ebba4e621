-- The row is an orphan, or becomes one when all orphans of a table that refers to itself are deleted. A kept row
-- keeps the rows that refer to it.
(target.tableoid, target.ctid) IN (
  WITH RECURSIVE chain (heap, place, is_deleted, {keys}) AS (
    SELECT target.tableoid, target.ctid, ({deleted}), {keys_of_parent}
    FROM {table} AS target
    WHERE {orphaned}
    UNION
    SELECT target.tableoid, target.ctid, ({deleted}), {keys_of_parent}
    FROM chain AS parent
    JOIN {table} AS target ON {same_key}
    WHERE parent.is_deleted AND {which}
  )
  SELECT heap, place FROM chain
)
