-- How many milliseconds VACUUM rests after each vacuum_cost_limit of work in this session; 0 is never.
SELECT set_config('vacuum_cost_delay', %(milliseconds)s, false)
