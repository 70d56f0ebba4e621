-- How many children have no parent, of how many, and how many refer to nobody.
SELECT count(*) FILTER (WHERE {reference} IS NOT NULL AND NOT EXISTS (
         SELECT FROM {parent} AS parent WHERE parent.{parent_column} = child.{reference}
       )),
       count(*),
       count(*) FILTER (WHERE {reference} IS NULL)
FROM {child} AS child
