-- The given columns in the order of a valid, non-partial B-tree index that begins with exactly them; no row when there is
-- no such index.
SELECT ARRAY(
  SELECT a.attname::text
  FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
  WHERE k.place <= cardinality(%(columns)s::text[])
  ORDER BY k.place
) AS leading
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am am ON am.oid = c.relam AND am.amname = 'btree'
WHERE i.indrelid = %(oid)s AND i.indisvalid AND i.indpred IS NULL
  AND i.indnkeyatts >= cardinality(%(columns)s::text[])
  AND (
    SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE "C")
    FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.place <= cardinality(%(columns)s::text[])
  ) = (SELECT array_agg(name ORDER BY name COLLATE "C") FROM unnest(%(columns)s::text[]) AS name)
ORDER BY i.indnatts
LIMIT 1
