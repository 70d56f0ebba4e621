-- Counts the children of recorded keys, by the index on their reference.
UPDATE ops.missing_parents AS missing
SET rows = (
  SELECT count(*)
  FROM unnest({arrays}) AS key ({keys})
  JOIN {child} AS target ON {same_key}
)
WHERE policy = %(policy)s AND id = ANY (%(ids)s)
