-- What happens to each row, by partition: its time is NULL or infinite (null), it is not expired (young), it is on hold (on_hold),
-- a kept row refers to it (referenced), or it is deleted; with the oldest and newest of the deleted rows, and the
-- oldest of all except the young ones, within the range of Python's datetime. Not grouped by that case expression:
-- PostgreSQL expects as many groups of an expression as there are rows, and would sort all of them on disk.
SELECT heap, fate, rows,
       CASE WHEN first IS NOT NULL
            THEN greatest('0001-01-02 00:00Z', least('9999-12-30 00:00Z', first::timestamptz)) END,
       CASE WHEN last IS NOT NULL
            THEN greatest('0001-01-02 00:00Z', least('9999-12-30 00:00Z', last::timestamptz)) END
FROM (
  SELECT heap,
         count(*) AS total,
         count(*) FILTER (WHERE without_time) AS nulls,
         count(*) FILTER (WHERE expired AND kept) AS on_hold,
         count(*) FILTER (WHERE expired AND NOT kept AND needed) AS referenced,
         count(*) FILTER (WHERE expired AND NOT kept AND NOT needed) AS deleted,
         min(moment) FILTER (WHERE expired AND NOT kept AND NOT needed) AS oldest,
         max(moment) FILTER (WHERE expired AND NOT kept AND NOT needed) AS newest,
         min(moment) FILTER (WHERE NOT without_time) AS oldest_row
  FROM (
    SELECT {heap} AS heap,
           {column} AS moment,
           {column} IS NULL OR NOT isfinite({column}) AS without_time,
           {expired} AND isfinite({column}) AS expired,
           ({unheld}) IS NOT TRUE AS kept,
           ({unreferenced}) IS NOT TRUE AS needed
    FROM {rows}
    {each_once}
  ) AS looked_at
  GROUP BY heap
) AS counted
CROSS JOIN LATERAL (VALUES
  ('null', nulls, NULL, NULL),
  ('on_hold', on_hold, NULL, NULL),
  ('referenced', referenced, NULL, NULL),
  ('deleted', deleted, oldest, newest),
  ('young', total - nulls - on_hold - referenced - deleted, oldest_row, NULL)
) AS of_each (fate, rows, first, last)
