-- The time before which rows are expired, by the server's clock.
SELECT now() - %(keep)s
