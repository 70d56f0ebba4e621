-- Inserts the staged rows into their table. Rows that conflict are left out, which shows in the count; the second sum
-- shows whether a trigger has changed inserted rows.
WITH put AS (
  INSERT INTO {target} AS put ({columns}) OVERRIDING SYSTEM VALUE
  SELECT {inserted} FROM {staging} AS staged
  {on_conflict}
  RETURNING hashtextextended(ROW({put})::text, 0)::numeric AS hash
)
SELECT (SELECT count(*) FROM {staging}),
       (SELECT count(*) FROM put),
       (SELECT sum(hashtextextended(ROW({values})::text, 0)::numeric) FROM {staging} AS staged)
         IS NOT DISTINCT FROM (SELECT sum(hash) FROM put)
