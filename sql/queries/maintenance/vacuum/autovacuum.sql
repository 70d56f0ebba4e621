-- What autovacuum uses for each table: the table's settings, or else the server's, and its counters. Row versions
-- replaced by HOT updates are pruned without VACUUM and do not count. The maximum threshold exists since version 18.
WITH server AS MATERIALIZED (
  SELECT current_setting('autovacuum_vacuum_threshold')::int AS threshold,
         current_setting('autovacuum_vacuum_scale_factor')::float8 AS scale,
         coalesce(nullif(current_setting('autovacuum_vacuum_max_threshold', true), '-1')::float8, 'Infinity') AS most,
         current_setting('autovacuum_analyze_threshold')::int AS analyze_threshold,
         current_setting('autovacuum_analyze_scale_factor')::float8 AS analyze_scale,
         (SELECT setting::float8 FROM pg_settings WHERE name = 'autovacuum_vacuum_cost_delay') AS delay,
         (SELECT setting::float8 FROM pg_settings WHERE name = 'vacuum_cost_delay') AS plain_delay,
         current_setting('autovacuum_vacuum_cost_limit')::int AS cost_limit,
         current_setting('vacuum_cost_limit')::int AS plain_limit,
         current_setting('block_size')::int AS page
)
SELECT c.oid, n.nspname, c.relname, coalesce(pg_partition_root(c.oid), c.oid)::oid AS root,
       coalesce((own.option ->> 'autovacuum_enabled')::boolean, true) AS enabled,
       rows.count, pg_stat_get_dead_tuples(c.oid) AS dead,
       pg_stat_get_tuples_updated(c.oid) - pg_stat_get_tuples_hot_updated(c.oid) + pg_stat_get_tuples_deleted(c.oid)
         AS died,
       pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid) + pg_stat_get_tuples_deleted(c.oid)
         AS written,
       pg_stat_get_autovacuum_count(c.oid) + pg_stat_get_vacuum_count(c.oid) AS visits,
       limits.threshold, limits.scale,
       least(limits.threshold + limits.scale * rows.count, limits.most) AS trigger,
       limits.analyze_threshold + limits.analyze_scale * rows.count AS analyze_trigger,
       CASE WHEN limits.delay < 0 THEN server.plain_delay ELSE limits.delay END AS delay,
       CASE WHEN limits.cost_limit <= 0 THEN server.plain_limit ELSE limits.cost_limit END AS cost_limit,
       greatest(c.relpages - c.relallvisible, 0) AS pages,
       coalesce((SELECT sum(x.relpages) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                 WHERE i.indrelid = c.oid), 0)::int AS index_pages
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN server
CROSS JOIN LATERAL (SELECT greatest(c.reltuples, 0)::float8 AS count) AS rows
CROSS JOIN LATERAL (
  SELECT coalesce(jsonb_object_agg(option_name, option_value), '{}') AS option FROM pg_options_to_table(c.reloptions)
) AS own
CROSS JOIN LATERAL (
  SELECT coalesce((own.option ->> 'autovacuum_vacuum_threshold')::int, server.threshold) AS threshold,
         coalesce((own.option ->> 'autovacuum_vacuum_scale_factor')::float8, server.scale) AS scale,
         coalesce(nullif(own.option ->> 'autovacuum_vacuum_max_threshold', '-1')::float8, server.most) AS most,
         coalesce((own.option ->> 'autovacuum_analyze_threshold')::int, server.analyze_threshold)
           AS analyze_threshold,
         coalesce((own.option ->> 'autovacuum_analyze_scale_factor')::float8, server.analyze_scale) AS analyze_scale,
         coalesce((own.option ->> 'autovacuum_vacuum_cost_delay')::float8, server.delay) AS delay,
         coalesce((own.option ->> 'autovacuum_vacuum_cost_limit')::int, server.cost_limit) AS cost_limit
) AS limits
WHERE c.oid = ANY (%(oids)s::oid[]) AND c.relkind IN ('r', 'm')
ORDER BY n.nspname, c.relname
