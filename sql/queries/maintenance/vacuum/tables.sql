-- The tables that VACUUM can process: tables with their TOAST table, materialized views, and partitioned tables, which
-- have no rows but statistics that autovacuum never updates. With `oids` only those and their partitions. For a table
-- with an ACCESS EXCLUSIVE lock the last known size is used, because reading it would wait for that lock. (The view
-- pg_stat_all_tables has the same numbers, but also adds up the indexes of every table.)
WITH locked AS MATERIALIZED (
  SELECT DISTINCT relation FROM pg_locks
  WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
),
mine AS (
  SELECT pg_has_role(d.datdba, 'USAGE') AS database,
         coalesce(pg_has_role(to_regrole('pg_maintain'), 'USAGE'), false) AS every_table -- from version 17
  FROM pg_database d
  WHERE d.datname = current_database()
),
wanted AS (
  SELECT c.oid
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE %(oids)s::oid[] IS NULL AND n.nspname !~ '^pg_(toast|temp)'
  UNION
  SELECT coalesce(tree.relid, given.oid)
  FROM unnest(%(oids)s::oid[]) AS given (oid)
  LEFT JOIN LATERAL pg_partition_tree(given.oid) AS tree ON true
)
SELECT c.oid, n.nspname, c.relname,
       c.relkind = 'p' AS parent,
       n.nspname IN ('pg_catalog', 'information_schema') AS catalog,
       pg_has_role(c.relowner, 'USAGE') OR mine.every_table OR (mine.database AND NOT c.relisshared) AS allowed,
       coalesce(pg_partition_root(c.oid), c.oid)::oid AS root,
       CASE WHEN locked.relation IS NULL THEN coalesce(pg_relation_size(c.oid), 0)
            ELSE greatest(c.relpages, 0) * current_setting('block_size')::bigint END AS bytes,
       c.reltuples, coalesce(options.fillfactor, 100) AS fillfactor,
       greatest(pg_stat_get_live_tuples(c.oid), 0) AS live, pg_stat_get_dead_tuples(c.oid) AS dead,
       greatest(pg_stat_get_live_tuples(t.oid), 0) AS toast_live,
       coalesce(pg_stat_get_dead_tuples(t.oid), 0) AS toast_dead,
       pg_stat_get_mod_since_analyze(c.oid) AS changed,
       greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed,
       greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS analyzed,
       CASE WHEN c.relkind <> 'p' THEN greatest(age(c.relfrozenxid), age(t.relfrozenxid)) ELSE 0 END AS age,
       least(current_setting('autovacuum_freeze_max_age')::bigint, options.freeze_max_age) AS age_limit,
       CASE WHEN c.relkind <> 'p' THEN greatest(mxid_age(c.relminmxid), mxid_age(t.relminmxid)) ELSE 0 END
         AS multixact_age,
       least(current_setting('autovacuum_multixact_freeze_max_age')::bigint, options.multixact_freeze_max_age)
         AS multixact_limit
FROM wanted
JOIN pg_class c ON c.oid = wanted.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN mine
LEFT JOIN locked ON locked.relation = c.oid
LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
CROSS JOIN LATERAL (
  SELECT max(option_value::bigint) FILTER (WHERE option_name = 'autovacuum_freeze_max_age') AS freeze_max_age,
         max(option_value::bigint) FILTER (WHERE option_name = 'autovacuum_multixact_freeze_max_age')
           AS multixact_freeze_max_age,
         max(option_value::int) FILTER (WHERE option_name = 'fillfactor') AS fillfactor
  FROM pg_options_to_table(c.reloptions)
) AS options
WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
ORDER BY n.nspname, c.relname
