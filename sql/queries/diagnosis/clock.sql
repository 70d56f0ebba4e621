-- The server's time now.
SELECT clock_timestamp()
