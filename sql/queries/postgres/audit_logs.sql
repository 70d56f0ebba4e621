-- An existing public.audit_logs before our migrations: its kind, its columns, and its differences from ours (or from
-- an ordinary table that can be adopted), and the statement that gives it the defaults that it lacks, NULL if none. No
-- row when there is no such table, or when it is ours already.
WITH theirs AS (
  SELECT c.oid, c.relkind, c.relispartition
  FROM pg_class c
  WHERE c.oid = to_regclass('public.audit_logs') AND to_regclass('ops.maintenance_runs') IS NULL
), columns AS (
  SELECT a.attname::text AS name, format_type(a.atttypid, NULL) AS type, a.attnum,
         NOT a.atthasdef AND a.attidentity = '' AS has_no_default, a.attnotnull AS not_null
  FROM theirs JOIN pg_attribute a ON a.attrelid = theirs.oid AND a.attnum > 0 AND NOT a.attisdropped
), ours (place, name, type) AS (
  VALUES
    (1, 'id', 'uuid'), (2, 'event_type', 'character varying'), (3, 'user_id', 'uuid'),
    (4, 'resource_type', 'character varying'), (5, 'resource_id', 'uuid'), (6, 'action', 'character varying'),
    (7, 'details', 'jsonb'), (8, 'ip_address', 'inet'), (9, 'status', 'character varying'),
    (10, 'duration_ms', 'integer'), (11, 'created_at', 'timestamp with time zone'),
    (12, 'created_by', 'character varying')
), differences (place, words) AS (
  SELECT 0, 'it is not a table' FROM theirs WHERE relkind NOT IN ('r', 'p')
  UNION ALL
  SELECT 0, 'it is a partition of another table' FROM theirs WHERE relispartition
  UNION ALL
  SELECT ours.place, CASE WHEN columns.name IS NULL THEN format('%s %s is missing', ours.name, ours.type)
                          ELSE format('%s is %s and not %s', ours.name, columns.type, ours.type) END
  FROM theirs CROSS JOIN ours LEFT JOIN columns USING (name)
  WHERE columns.type IS DISTINCT FROM ours.type
    AND NOT (theirs.relkind = 'r' AND ours.name = 'created_at' AND columns.type = 'timestamp without time zone')
  UNION ALL
  SELECT 50, format('its column %s is %s and not %s, as Ops Pipeline''s column of that name', name, columns.type, own.type)
  FROM (VALUES
    ('received_at', 'timestamp with time zone'), ('key_id', 'uuid'), ('peer_address', 'inet'), ('subject_id', 'uuid'),
    ('origin', 'text')
  ) AS own (name, type)
  JOIN columns USING (name)
  WHERE columns.type <> own.type
  UNION ALL
  SELECT 100, format('%s is NOT NULL without a default, so that Ops Pipeline''s events cannot be stored', name)
  FROM columns WHERE not_null AND has_no_default AND name NOT IN ('id', 'event_type', 'created_at')
  UNION ALL
  SELECT 200, format('it is partitioned by %s and not by RANGE (created_at)', pg_get_partkeydef(oid))
  FROM theirs WHERE relkind = 'p' AND pg_get_partkeydef(oid) <> 'RANGE (created_at)'
  UNION ALL
  SELECT 200, 'its primary key is not (created_at, id)'
  FROM theirs WHERE relkind = 'p' AND NOT EXISTS (
    SELECT FROM pg_constraint
    WHERE conrelid = theirs.oid AND contype = 'p' AND pg_get_constraintdef(oid) = 'PRIMARY KEY (created_at, id)'
  )
)
SELECT CASE relkind WHEN 'r' THEN 'an ordinary table' WHEN 'p' THEN 'a partitioned table' WHEN 'v' THEN 'a view'
                    WHEN 'm' THEN 'a materialized view' WHEN 'f' THEN 'a foreign table' ELSE 'not a table' END,
       relkind = 'r',
       coalesce((SELECT string_agg(name || ' ' || type, ', ' ORDER BY attnum) FROM columns), ''),
       ARRAY(SELECT words FROM differences ORDER BY place, words),
       (SELECT 'ALTER TABLE public.audit_logs '
               || string_agg(format('ALTER %s SET DEFAULT %s', name, value), ', ' ORDER BY name DESC) || ';'
        FROM (VALUES ('id', 'gen_random_uuid()'), ('created_at', 'CURRENT_TIMESTAMP')) AS defaults (name, value)
        JOIN columns USING (name)
        WHERE has_no_default)
FROM theirs
