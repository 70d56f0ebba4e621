-- Deletes the rows of the new table that have changed in the old one.
DELETE FROM {new} AS n USING {changes} AS c
WHERE c.place = ANY (%(places)s) AND {same} AND n.{column} = {moment}
