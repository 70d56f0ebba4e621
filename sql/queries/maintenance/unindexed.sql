-- Rows went a moment ago: whoever counts by an index alone would still look into the table for each of them.
SELECT set_config('enable_indexonlyscan', 'off', true)
