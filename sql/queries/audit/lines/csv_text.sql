-- A text of a line of CSV. What a spreadsheet would take for a formula gets a single quote in front.
CASE WHEN {column} IS NULL THEN '' ELSE
  '"' || CASE WHEN left({column}::text, 1) IN ('=', '+', '-', '@', E'\t', E'\r') THEN '''' ELSE '' END
  || replace({column}::text, '"', '""') || '"' END
