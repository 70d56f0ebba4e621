-- Makes this transaction's commit durable before it returns, whatever the server's setting: archive files depend on it.
SELECT set_config('synchronous_commit', 'on', true)
