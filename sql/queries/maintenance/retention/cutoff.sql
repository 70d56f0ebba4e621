-- The moment before which rows are too old, by the server's clock.
SELECT now() - %(keep)s
