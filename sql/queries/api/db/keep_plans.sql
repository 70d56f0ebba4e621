-- Plans each prepared statement of this session once, for any values. Left to itself PostgreSQL compares costs
-- and, where statistics make the plan for any values look a little dearer, plans each time; that takes
-- three times as long as reading a page.
SELECT set_config('plan_cache_mode', 'force_generic_plan', false)
