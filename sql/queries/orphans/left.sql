-- How many children still have no parent.
SELECT count(*)
FROM {child} AS child
WHERE {reference} IS NOT NULL
  AND NOT EXISTS (SELECT FROM {parent} AS parent WHERE parent.{parent_column} = child.{reference})
