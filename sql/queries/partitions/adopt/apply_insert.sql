-- Inserts the current versions of the same rows, if they still exist.
INSERT INTO {new} ({columns}) OVERRIDING SYSTEM VALUE
SELECT {values}
FROM ONLY {old} AS t
WHERE t.{column} IS NOT NULL
  AND ({keys_of_t}) IN (SELECT {keys} FROM {changes} WHERE place = ANY (%(places)s))
ON CONFLICT DO NOTHING
