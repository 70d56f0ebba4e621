-- What this session notes need not be on the disk at once: it is told again in a moment.
SELECT set_config('synchronous_commit', 'off', false)
