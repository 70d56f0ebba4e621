-- The foreign keys that refer to a table, to a table it is a partition of, or to a partition of it: name; its columns
-- and those they refer to; those that SET NULL or SET DEFAULT sets; the ON DELETE action; whether an index finds the
-- referring rows; the referring table; the one referred to (a partition of this table, or else this table); the key
-- without its CASCADE; and for each column how it is compared, as in ri_triggers.c: by the key's own operator, its
-- input types, the parent's collation. An index on a partitioned table, or one on each of its partitions, counts; a
-- partial index counts if it leaves out only NULLs.
SELECT f.conname, f.columns, f.referred, f.cleared, f.confdeltype::text,
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
       c.oid, n.nspname, c.relname, p.oid, pn.nspname, p.relname, replace(pg_get_constraintdef(f.oid), ' ON DELETE CASCADE', ''),
       (SELECT jsonb_agg(jsonb_build_object(
                 'operator', jsonb_build_array(os.nspname, o.oprname),
                 'parent_type', CASE WHEN l.typtype <> 'p' THEN jsonb_build_array(ls.nspname, l.typname) END,
                 'child_type', CASE WHEN r.typtype <> 'p' THEN jsonb_build_array(rs.nspname, r.typname) END,
                 'collation', CASE WHEN r.typcollation <> 0 AND referring.attcollation <> referred.attcollation
                                   THEN jsonb_build_array(collns.nspname, coll.collname) END
               ) ORDER BY k.place)
        FROM unnest(f.conpfeqop, f.conkey, f.confkey) WITH ORDINALITY AS k (operator, child, parent, place)
        JOIN pg_operator o ON o.oid = k.operator JOIN pg_namespace os ON os.oid = o.oprnamespace
        JOIN pg_type l ON l.oid = o.oprleft JOIN pg_namespace ls ON ls.oid = l.typnamespace
        JOIN pg_type r ON r.oid = o.oprright JOIN pg_namespace rs ON rs.oid = r.typnamespace
        JOIN pg_attribute referring ON referring.attrelid = f.conrelid AND referring.attnum = k.child
        JOIN pg_attribute referred ON referred.attrelid = f.confrelid AND referred.attnum = k.parent
        LEFT JOIN pg_collation coll ON coll.oid = referred.attcollation
        LEFT JOIN pg_namespace collns ON collns.oid = coll.collnamespace)
FROM (
  SELECT con.*,
         ARRAY(SELECT a.attname::text
               FROM unnest(con.conkey) WITH ORDINALITY AS k (attnum, place)
               JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.attnum
               ORDER BY k.place) AS columns,
         ARRAY(SELECT a.attname::text
               -- PostgreSQL before 15 does not have this column, and sets all of them.
               FROM jsonb_array_elements_text(coalesce(nullif(to_jsonb(con) -> 'confdelsetcols', 'null'),
                                                       to_jsonb(con.conkey))) WITH ORDINALITY AS k (attnum, place)
               JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.attnum::smallint
               ORDER BY k.place) AS cleared,
         ARRAY(SELECT a.attname::text
               FROM unnest(con.confkey) WITH ORDINALITY AS k (attnum, place)
               JOIN pg_attribute a ON a.attrelid = con.confrelid AND a.attnum = k.attnum
               ORDER BY k.place) AS referred
  FROM pg_constraint con
  WHERE con.contype = 'f' AND con.conparentid = 0
    -- PostgreSQL before 18 does not have this column, and enforces every key.
    AND to_jsonb(con) ->> 'conenforced' IS DISTINCT FROM 'false'
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
