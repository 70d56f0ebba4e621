-- The moment so many days ago, by the database's clock.
SELECT clock_timestamp() - make_interval(days => %(days)s::integer)
