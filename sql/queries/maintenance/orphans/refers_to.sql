-- The row refers to one of the missing parents in the given rows of ops.missing_parents.
({reference}) {operator} ANY (
  SELECT {keys}
  FROM ops.missing_parents AS missing
  CROSS JOIN LATERAL unnest({arrays}) AS key ({keys})
  WHERE missing.policy = {policy} AND {listed}
)
