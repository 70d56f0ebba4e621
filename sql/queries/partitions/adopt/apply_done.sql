-- Those changes are in the new table, but for rows that have no time now and so no place in it.
DELETE FROM {changes} AS c
WHERE c.place = ANY (%(places)s)
  AND NOT EXISTS (SELECT FROM ONLY {old} AS n WHERE {same} AND n.{column} IS NULL)
