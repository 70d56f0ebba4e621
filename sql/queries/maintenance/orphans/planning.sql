-- Planner settings for this transaction: memory for hashes, by which it groups (PostgreSQL expects one orphan, and
-- would sort them); and, where parents are looked up one by one, no plan that reads all of them.
SELECT set_config('work_mem', %(work_mem)s, true),
       set_config('enable_sort', 'off', true),
       set_config('enable_hashjoin', %(all_parents)s, true),
       set_config('enable_mergejoin', %(all_parents)s, true)
