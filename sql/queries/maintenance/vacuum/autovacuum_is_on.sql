-- Whether autovacuum is on for this server.
SELECT current_setting('autovacuum')::boolean
