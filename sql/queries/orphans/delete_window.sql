-- Removes the children of a key window whose parent does not exist. NULL refers to nobody: no orphan.
DELETE FROM {child} AS child
WHERE {bounds}
  AND {reference} IS NOT NULL
  AND NOT EXISTS (SELECT FROM {parent} AS parent WHERE parent.{parent_column} = child.{reference})
