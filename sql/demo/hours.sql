-- The hours of 120 days in which the application is used. Nights are quiet: maintenance runs around the
-- time of day of as_of, and from one hour before it until five hours after it nothing happens on any
-- day. So a second run right after the first one finds no newly expired rows.
-- Afternoons are busier than mornings, and weekends have a third of a working day. Weekends are counted back
-- from as_of, not by the calendar, so that the same numbers of rows have expired whenever it is filled.
INSERT INTO demo_hours (hour_number, starts_at, before, weight, total)
SELECT row_number() OVER (ORDER BY starts_at) - 1,
       starts_at,
       sum(weight) OVER (ORDER BY starts_at) - weight,
       weight,
       sum(weight) OVER ()
FROM (
  SELECT demo.as_of + make_interval(hours => hour - 24 * days_ago) AS starts_at,
         round(
           (200 + 800 * sin(pi() * (hour - 4) / 20.0))
           * CASE WHEN days_ago % 7 IN (2, 3) THEN 0.33 ELSE 1 END
         )::bigint AS weight
  FROM demo
  CROSS JOIN generate_series(1, 120) days_ago
  CROSS JOIN generate_series(5, 22) hour
) used
