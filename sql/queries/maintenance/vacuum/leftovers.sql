-- Invalid indexes with names as an interrupted REINDEX CONCURRENTLY leaves them; the valid index of the same table with
-- the same definition (expressions are compared without their positions in the query text); and the session that holds
-- a lock on the index or its table as an index build does: a build holds such a lock throughout.
WITH wide AS MATERIALIZED (
  SELECT l.relation, l.pid, l.mode
  FROM pg_locks l
  WHERE l.locktype = 'relation' AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                   'AccessExclusiveLock')
),
alike AS (
  SELECT i.*, regexp_replace(i.indexprs::text, ':location -?[0-9]+', '', 'g') AS expressions,
         regexp_replace(i.indpred::text, ':location -?[0-9]+', '', 'g') AS predicate
  FROM pg_index i
  WHERE i.indrelid = ANY (%(tables)s::oid[])
)
SELECT c.oid, n.nspname, c.relname, t.oid, tn.nspname, t.relname,
       CASE WHEN EXISTS (SELECT FROM wide w WHERE w.relation = c.oid AND w.mode = 'AccessExclusiveLock') THEN 0
            ELSE coalesce(pg_relation_size(c.oid), 0) END AS bytes,
       (SELECT n.nspname || '.' || o.relname
        FROM alike v
        JOIN pg_class o ON o.oid = v.indexrelid
        WHERE v.indisvalid AND v.indrelid = i.indrelid AND o.relam = c.relam
          AND (v.indkey, v.indclass, v.indcollation, v.indoption, v.indnkeyatts, v.indisunique,
               v.indnullsnotdistinct)
            = (i.indkey, i.indclass, i.indcollation, i.indoption, i.indnkeyatts, i.indisunique,
               i.indnullsnotdistinct)
          AND (v.expressions, v.predicate) IS NOT DISTINCT FROM (i.expressions, i.predicate)
        LIMIT 1) AS copy_of,
       (SELECT coalesce('pid ' || w.pid || coalesce(' (' || nullif(a.application_name, '') || ')', ''),
                        'a prepared transaction')
        FROM wide w
        LEFT JOIN pg_stat_activity a ON a.pid = w.pid
        WHERE w.relation IN (c.oid, t.oid)
        LIMIT 1) AS worker
FROM alike i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relname ~ '_cc(new|old)[0-9]*$'
ORDER BY n.nspname, c.relname
