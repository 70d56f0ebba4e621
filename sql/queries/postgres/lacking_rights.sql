-- The GRANTs for the privileges that the current user lacks on a table and each of its partitions, which are read and
-- written one by one.
WITH tree AS (
  SELECT c.relname, n.nspname, n.oid AS schema,
         ARRAY(
           SELECT wanted
           FROM unnest(%(privileges)s::text[]) WITH ORDINALITY AS listed (wanted, place)
           WHERE NOT CASE wanted WHEN 'UPDATE' THEN has_any_column_privilege(c.oid, wanted) -- enough to lock rows
                                 ELSE has_table_privilege(c.oid, wanted) END
           ORDER BY place
         ) AS lacking
  FROM (SELECT relid FROM pg_partition_tree(%(oid)s) UNION SELECT %(oid)s) AS member (oid)
  JOIN pg_class c ON c.oid = member.oid AND c.relkind IN ('r', 'p')
  JOIN pg_namespace n ON n.oid = c.relnamespace
)
SELECT format('GRANT USAGE ON SCHEMA %%I TO %%I', nspname, current_user)
FROM tree
WHERE NOT has_schema_privilege(schema, 'USAGE')
GROUP BY nspname
UNION ALL
SELECT format('GRANT %%s ON %%s TO %%I', array_to_string(lacking, ', '),
              string_agg(format('%%I.%%I', nspname, relname), ', ' ORDER BY nspname, relname), current_user)
FROM tree
WHERE lacking <> '{}'
GROUP BY lacking
