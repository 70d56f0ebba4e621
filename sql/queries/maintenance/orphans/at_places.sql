-- The row lies where a sweep has seen an orphan.
target.ctid = ANY (ARRAY(
  SELECT unnest(missing.places) FROM ops.missing_parents AS missing WHERE missing.policy = {policy} AND {listed}
))
