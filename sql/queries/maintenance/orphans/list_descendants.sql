-- Lists the parents that will be missing once rows of a table that refers to itself are deleted, up to 1,000 a row.
INSERT INTO ops.missing_parents (policy, source, keys, rows, since)
SELECT %(policy)s, 'sweep', ARRAY[{gathered}], count(*), %(since)s
FROM (
  SELECT {keys_of_row}, (row_number() OVER () - 1) / 1000 AS part FROM {child} AS target WHERE {descendants}
) AS numbered
GROUP BY part
ORDER BY part
