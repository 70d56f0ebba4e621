-- What the choice of a method depends on: whether the table is partitioned; whether a btree index begins with the
-- column; the correlation of physical order and time (1 and -1: perfectly ordered; NULL: never analyzed); rows per
-- block; about how many rows have the same time; and whether there is a primary key whose order does not depend on
-- the search path.
SELECT c.relkind = 'p',
       EXISTS (
         SELECT FROM pg_index i
         JOIN pg_class index ON index.oid = i.indexrelid
         JOIN pg_am am ON am.oid = index.relam AND am.amname = 'btree'
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] AND a.attname = %(column)s
         WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL
       ),
       s.correlation::float8,
       CASE WHEN c.relpages > 0 AND c.reltuples > 0 THEN c.reltuples / c.relpages ELSE 0 END::float8,
       CASE WHEN s.n_distinct > 0 THEN c.reltuples / s.n_distinct
            WHEN s.n_distinct < 0 THEN -1 / s.n_distinct
            ELSE 1 END::float8,
       EXISTS (
         SELECT FROM pg_index i
         WHERE i.indrelid = c.oid AND i.indisprimary AND NOT EXISTS (
           SELECT FROM unnest(i.indclass::oid[]) AS k (class)
           JOIN pg_opclass o ON o.oid = k.class AND o.opcnamespace <> 'pg_catalog'::regnamespace
         )
       )
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = %(column)s
                    AND NOT s.inherited
WHERE c.oid = %(oid)s
