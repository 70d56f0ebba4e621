-- Changes a setting of this session: how long it waits for a lock, or how many milliseconds VACUUM sleeps after each
-- vacuum_cost_limit of cost.
SELECT set_config(%(name)s, %(value)s, false)
