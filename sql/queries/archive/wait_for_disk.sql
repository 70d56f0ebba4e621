-- A commit of this session lasts when it is answered, whatever the server's setting: files elsewhere go by it.
SELECT set_config('synchronous_commit', 'on', false)
