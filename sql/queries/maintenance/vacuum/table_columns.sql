-- The columns of tables, including dropped ones: how they are stored, and ANALYZE's statistics of their width.
WITH known AS MATERIALIZED (
  SELECT schemaname, tablename, attname, null_frac, avg_width, n_distinct
  FROM pg_stats
  WHERE NOT inherited AND tablename = ANY (ARRAY(SELECT relname FROM pg_class WHERE oid = ANY (%(oids)s::oid[])))
)
SELECT a.attrelid, a.attlen,
       CASE a.attalign WHEN 'd' THEN 8 WHEN 'i' THEN 4 WHEN 's' THEN 2 ELSE 1 END AS alignment,
       CASE WHEN a.attisdropped THEN 0 ELSE k.avg_width END AS width,
       CASE WHEN a.attisdropped THEN 1 ELSE coalesce(k.null_frac, 0) END AS null_share,
       coalesce(k.n_distinct, -1) AS "distinct"
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN known k ON k.schemaname = n.nspname AND k.tablename = c.relname AND k.attname = a.attname
WHERE a.attrelid = ANY (%(oids)s::oid[]) AND a.attnum > 0
ORDER BY a.attrelid, a.attnum
