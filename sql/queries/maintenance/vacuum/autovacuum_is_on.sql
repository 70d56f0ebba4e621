-- Whether the server's autovacuum is at work at all.
SELECT current_setting('autovacuum')::boolean
