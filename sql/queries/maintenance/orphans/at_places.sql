-- The row is at a ctid where a sweep has found an orphan.
target.ctid = ANY (ARRAY(
  SELECT unnest(missing.places) FROM ops.missing_parents AS missing WHERE missing.policy = {policy} AND {listed}
))
