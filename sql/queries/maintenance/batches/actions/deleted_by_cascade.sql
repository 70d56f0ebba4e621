-- How many rows this session has deleted and changed in each table, including its partitions: in the given tables,
-- or in all but ours. The server adds to these counters until it next reports its statistics, which it does between
-- transactions only.
SELECT root.oid::bigint, n.nspname, root.relname,
       sum(pg_stat_get_xact_tuples_deleted(c.oid))::bigint,
       sum(pg_stat_get_xact_tuples_updated(c.oid))::bigint
FROM pg_class c
JOIN pg_class root ON root.oid = coalesce(pg_partition_root(c.oid)::oid, c.oid)
JOIN pg_namespace n ON n.oid = root.relnamespace
WHERE c.relkind = 'r'
  AND CASE WHEN %(tables)s::bigint[] IS NULL THEN n.nspname NOT IN ('ops', 'pg_catalog') AND c.relpersistence <> 't'
           ELSE c.oid = ANY (%(tables)s::bigint[]::oid[]) END
  AND pg_stat_get_xact_tuples_deleted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid) > 0
GROUP BY root.oid, n.nspname, root.relname
