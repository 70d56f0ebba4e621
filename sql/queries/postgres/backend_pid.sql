-- The process of the server that carries this statement out.
SELECT pg_backend_pid()
