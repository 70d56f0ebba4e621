-- Makes commits of this session durable before they return, whatever the server's setting: files depend on them.
SELECT set_config('synchronous_commit', 'on', false)
