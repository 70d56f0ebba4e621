-- This session's lock_timeout.
SELECT current_setting('lock_timeout')
