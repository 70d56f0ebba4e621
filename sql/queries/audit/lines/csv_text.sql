-- A text of a CSV line. A text that a spreadsheet would take for a formula gets a leading single quote. The full-width
-- =, +, - and @, which some spreadsheets take for the plain ones, are compared as bytes: the database's encoding may
-- not have them.
CASE WHEN {column} IS NULL THEN '' ELSE
  '"' || CASE
    WHEN left({column}::text, 1) IN ('=', '+', '-', '@', E'\t', E'\r', E'\n')
      OR substring(convert_to(left({column}::text, 3), 'UTF8') FOR 3)
        IN ('\xefbc9d'::bytea, '\xefbc8b'::bytea, '\xefbc8d'::bytea, '\xefbca0'::bytea)
    THEN '''' ELSE '' END
  || replace({column}::text, '"', '""') || '"' END
