-- The time before which rows are expired, by the server's clock; for dates, the start of a day.
SELECT CASE WHEN %(is_date)s THEN date_trunc('day', now() - %(keep)s) ELSE now() - %(keep)s END
