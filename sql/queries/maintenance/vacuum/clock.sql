-- The server's current time.
SELECT clock_timestamp()
