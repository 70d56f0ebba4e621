-- From here on events are news again.
SELECT set_config('ops.restoring', 'off', true)
