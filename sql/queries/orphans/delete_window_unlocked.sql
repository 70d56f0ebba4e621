-- As delete_window, passing over rows that somebody has locked.
DELETE FROM {child} AS child
USING (
  SELECT {keys} FROM {child} AS child
  WHERE {bounds}
    AND {reference} IS NOT NULL
    AND NOT EXISTS (SELECT FROM {parent} AS parent WHERE parent.{parent_column} = child.{reference})
  FOR UPDATE OF child SKIP LOCKED
) AS free
WHERE ({child_keys}) = ({free_keys})
