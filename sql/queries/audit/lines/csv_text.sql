-- A text of a CSV line. A text that a spreadsheet would take for a formula gets a leading single quote.
CASE WHEN {column} IS NULL THEN '' ELSE
  '"' || CASE WHEN left({column}::text, 1) IN ('=', '+', '-', '@', E'\t', E'\r') THEN '''' ELSE '' END
  || replace({column}::text, '"', '""') || '"' END
