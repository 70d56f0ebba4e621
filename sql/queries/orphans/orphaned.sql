-- Which children refer to a parent that does not exist. NULL refers to nobody: no orphan.
{reference} IS NOT NULL
AND NOT EXISTS (SELECT FROM {parent} AS parent WHERE parent.{parent_column} = {reference})
