-- The valid B-trees of tables, a row for each of their columns: how it is stored, and ANALYZE's statistics of its
-- values. The statistics of an expression are the index's own, those of a column its table's. Equal keys are stored
-- once unless the index or one of its types forbids it (an operator class says so by its support function 4). An index
-- with an ACCESS EXCLUSIVE lock is left out, because reading its size would wait for that lock.
WITH locked AS MATERIALIZED (
  SELECT DISTINCT relation FROM pg_locks
  WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
),
known AS MATERIALIZED (
  SELECT schemaname, tablename, attname, null_frac, avg_width, n_distinct
  FROM pg_stats
  WHERE NOT inherited AND tablename = ANY (ARRAY(
    SELECT relname FROM pg_class
    WHERE oid = ANY (%(oids)s::oid[])
       OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = ANY (%(oids)s::oid[]))))
)
SELECT c.oid, n.nspname, c.relname, t.oid AS "table", pg_relation_size(c.oid) AS bytes,
       i.indisexclusion AS exclusion,
       CASE WHEN i.indpred IS NOT NULL THEN c.reltuples END AS partial_rows,
       coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions)
                 WHERE option_name = 'fillfactor'), 90) AS fillfactor,
       coalesce((SELECT option_value::boolean FROM pg_options_to_table(c.reloptions)
                 WHERE option_name = 'deduplicate_items'), true)
         AND i.indnkeyatts = i.indnatts AND NOT i.indisunique
         AND NOT EXISTS (
           SELECT FROM unnest(i.indclass::oid[], i.indcollation::oid[]) AS key (class, "collation")
           JOIN pg_opclass o ON o.oid = key.class
           LEFT JOIN pg_collation l ON l.oid = key."collation"
           LEFT JOIN pg_amproc p ON p.amprocfamily = o.opcfamily AND p.amprocnum = 4
             AND p.amproclefttype = o.opcintype AND p.amprocrighttype = o.opcintype
           WHERE p.amproc IS NULL OR NOT coalesce(l.collisdeterministic, true)
         ) AS deduplicated,
       a.attlen, CASE a.attalign WHEN 'd' THEN 8 WHEN 'i' THEN 4 WHEN 's' THEN 2 ELSE 1 END AS alignment,
       k.avg_width AS width, coalesce(k.null_frac, 0) AS null_share, coalesce(k.n_distinct, -1) AS "distinct"
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am m ON m.oid = c.relam
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace tn ON tn.oid = t.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN pg_attribute of_table ON of_table.attrelid = t.oid AND of_table.attnum = i.indkey[a.attnum - 1]
  AND of_table.attnum > 0
LEFT JOIN known k ON k.schemaname = tn.nspname
  AND k.tablename = CASE WHEN of_table.attname IS NULL THEN c.relname ELSE t.relname END
  AND k.attname = coalesce(of_table.attname, a.attname)
WHERE i.indrelid = ANY (%(oids)s::oid[]) AND m.amname = 'btree' AND c.relkind = 'i' AND i.indisvalid
  AND c.oid NOT IN (SELECT relation FROM locked)
ORDER BY c.oid, a.attnum
