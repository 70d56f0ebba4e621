-- The tables that have archived rows.
SELECT DISTINCT table_schema, table_name FROM ops.archives ORDER BY 1, 2
