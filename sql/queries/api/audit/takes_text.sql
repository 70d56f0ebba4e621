-- Raises an error when the text has a character outside the database's encoding.
SELECT %(text)s::text IS NOT NULL
