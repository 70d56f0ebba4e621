-- Commits of this session need not wait for the disk: progress is saved again soon.
SELECT set_config('synchronous_commit', 'off', false)
