-- The server's own time.
SELECT clock_timestamp()
