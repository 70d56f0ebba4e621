-- Raises where a character of the text is none of the database's encoding.
SELECT %(text)s::text IS NOT NULL
