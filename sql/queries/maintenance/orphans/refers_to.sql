-- The row refers to one of the missing parents that are listed in some rows of ops.missing_parents.
({reference}) {operator} ANY (
  SELECT {keys}
  FROM ops.missing_parents AS missing
  CROSS JOIN LATERAL unnest({arrays}) AS key ({keys})
  WHERE missing.policy = {policy} AND {listed}
)
