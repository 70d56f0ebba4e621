-- What happens to each row, by partition: its time is NULL (unset), it is not expired (young), it is on hold (held),
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
         count(*) FILTER (WHERE unset) AS unset,
         count(*) FILTER (WHERE due AND kept) AS held,
         count(*) FILTER (WHERE due AND NOT kept AND needed) AS referenced,
         count(*) FILTER (WHERE due AND NOT kept AND NOT needed) AS deleted,
         min(moment) FILTER (WHERE due AND NOT kept AND NOT needed) AS oldest,
         max(moment) FILTER (WHERE due AND NOT kept AND NOT needed) AS newest,
         min(moment) FILTER (WHERE NOT unset) AS oldest_row
  FROM (
    SELECT {heap} AS heap,
           {column} AS moment,
           {column} IS NULL OR NOT isfinite({column}) AS unset,
           {expired} AND isfinite({column}) AS due,
           ({unheld}) IS NOT TRUE AS kept,
           ({unreferenced}) IS NOT TRUE AS needed
    FROM {rows}
    {each_once}
  ) AS looked_at
  GROUP BY heap
) AS counted
CROSS JOIN LATERAL (VALUES
  ('unset', unset, NULL, NULL),
  ('held', held, NULL, NULL),
  ('referenced', referenced, NULL, NULL),
  ('deleted', deleted, oldest, newest),
  ('young', total - unset - held - referenced - deleted, oldest_row, NULL)
) AS of_each (fate, rows, first, last)
