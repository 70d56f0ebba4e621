-- The tables there are archived rows of.
SELECT DISTINCT table_schema, table_name FROM ops.archives ORDER BY 1, 2
