-- Parents that the sweep found missing and that are not recorded: how many, and some of them.
SELECT count(*), (array_agg(ARRAY[{texts}]))[1:5]
FROM (
  SELECT {keys} FROM ops.missing_parents AS missing CROSS JOIN LATERAL unnest({arrays}) AS key ({keys})
  WHERE missing.policy = %(policy)s AND missing.source = 'sweep'
  EXCEPT
  SELECT {keys} FROM ops.missing_parents AS missing CROSS JOIN LATERAL unnest({arrays}) AS key ({keys})
  WHERE missing.policy = %(policy)s AND missing.source = 'deleted' AND missing.keys IS NOT NULL
) AS unrecorded
