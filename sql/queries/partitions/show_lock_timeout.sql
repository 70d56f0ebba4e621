-- How long each lock may be waited for now.
SELECT current_setting('lock_timeout')
