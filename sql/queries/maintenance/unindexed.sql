-- Many rows were just deleted: an index-only scan would still have to visit the table for each of them.
SELECT set_config('enable_indexonlyscan', 'off', true)
