-- Moves a sequence on to the furthest restored value, if it has not been there. Never back: of what it gives away
-- meanwhile nothing would be lost but what this statement does not see yet. Values that it never gives do not count.
SELECT setval({oid}::oid::regclass, furthest.value)
FROM {sequence} AS present,
     (
       SELECT {furthest}::bigint AS value
       FROM ({values}) AS restored (value)
       WHERE value BETWEEN {least} AND {most}
     ) AS furthest
WHERE CASE WHEN {upwards} THEN furthest.value > present.last_value ELSE furthest.value < present.last_value END
   OR (furthest.value = present.last_value AND NOT present.is_called)
