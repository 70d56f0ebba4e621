-- The foreign keys that refer to a table, to one above it or to a partition of it: name, its columns and those
-- they refer to, what happens on delete, whether an index finds the referring rows; the referring table; the one
-- referred to (of this one's partitions that one, else this one); and the key without its CASCADE.
-- An index on a partitioned table, or one on each of its partitions, is as good; a partial one is good
-- when all it leaves out is NULL.
SELECT f.conname, f.columns, f.referred, f.confdeltype::text,
       NOT EXISTS (
         SELECT FROM (
           SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf
           UNION SELECT c.oid WHERE c.relkind = 'r'
         ) AS leaf (oid)
         WHERE NOT EXISTS (
           SELECT FROM pg_index i
           JOIN pg_class ic ON ic.oid = i.indexrelid
           JOIN pg_am am ON am.oid = ic.relam
           WHERE i.indrelid = leaf.oid AND i.indisvalid AND am.amname IN ('btree', 'hash')
             AND f.columns <@ ARRAY(
               SELECT a.attname::text
               FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
               JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
               WHERE k.place <= least(cardinality(f.columns), i.indnkeyatts)
             )
             AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) IN (
               SELECT format('(%%I IS NOT NULL)', each) FROM unnest(f.columns) AS each
             ))
         )
       ),
       c.oid, n.nspname, c.relname, p.oid, pn.nspname, p.relname, replace(pg_get_constraintdef(f.oid), ' ON DELETE CASCADE', '')
FROM (
  SELECT con.*,
         ARRAY(SELECT a.attname::text
               FROM unnest(con.conkey) WITH ORDINALITY AS k (attnum, place)
               JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.attnum
               ORDER BY k.place) AS columns,
         ARRAY(SELECT a.attname::text
               FROM unnest(con.confkey) WITH ORDINALITY AS k (attnum, place)
               JOIN pg_attribute a ON a.attrelid = con.confrelid AND a.attnum = k.attnum
               ORDER BY k.place) AS referred
  FROM pg_constraint con
  WHERE con.contype = 'f' AND con.conparentid = 0
    AND con.confrelid IN (
      SELECT %(oid)s::oid
      UNION ALL SELECT relid FROM pg_partition_ancestors(%(oid)s)
      UNION ALL SELECT relid FROM pg_partition_tree(%(oid)s)
    )
) AS f
JOIN pg_class c ON c.oid = f.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = CASE WHEN f.confrelid IN (SELECT relid FROM pg_partition_tree(%(oid)s))
                                THEN f.confrelid ELSE %(oid)s END
JOIN pg_namespace pn ON pn.oid = p.relnamespace
ORDER BY n.nspname, c.relname, f.conname
