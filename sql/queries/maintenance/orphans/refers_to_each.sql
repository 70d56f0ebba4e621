-- The same where the columns of a key are compared by different operators.
EXISTS (
  SELECT FROM ops.missing_parents AS missing
  CROSS JOIN LATERAL unnest({arrays}) AS key ({keys})
  WHERE missing.policy = {policy} AND {listed} AND {same_key}
)
