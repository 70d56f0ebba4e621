-- This transaction's commit waits for the disk, whatever the server's setting: files elsewhere go by it.
SELECT set_config('synchronous_commit', 'on', true)
