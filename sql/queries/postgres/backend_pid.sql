-- The pid of the server process that runs this statement.
SELECT pg_backend_pid()
