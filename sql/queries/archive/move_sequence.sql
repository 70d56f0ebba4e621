-- Advances a sequence to the furthest restored value, if it is behind. It never goes back, except for values that
-- another session takes meanwhile and this statement does not see yet. Values outside its bounds do not count.
SELECT setval({oid}::oid::regclass, furthest.value)
FROM {sequence} AS present,
     (
       SELECT {furthest}::bigint AS value
       FROM ({values}) AS restored (value)
       WHERE value BETWEEN {least} AND {most}
     ) AS furthest
WHERE CASE WHEN {upwards} THEN furthest.value > present.last_value ELSE furthest.value < present.last_value END
   OR (furthest.value = present.last_value AND NOT present.is_called)
