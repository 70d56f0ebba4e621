-- Makes each prepared statement of this session use a generic plan. By default PostgreSQL compares costs
-- and, if the generic plan looks slightly more expensive, plans each time, which takes three times as long
-- as reading a page.
SELECT set_config('plan_cache_mode', 'force_generic_plan', false)
