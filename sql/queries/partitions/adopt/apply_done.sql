-- Deletes the records of applied changes, except for rows that have no time now and so no partition.
DELETE FROM {changes} AS c
WHERE c.place = ANY (%(places)s)
  AND NOT EXISTS (SELECT FROM ONLY {old} AS n WHERE {same} AND n.{column} IS NULL)
