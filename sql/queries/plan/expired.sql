-- What becomes of each row, by partition: it has no time (unset), is young enough (young), is held, is
-- referred to by a row that stays (referenced), or goes; with the oldest and newest of them as far as
-- Python's calendar reaches.
SELECT doomed.tableoid::bigint,
       CASE WHEN {column} IS NULL OR NOT isfinite({column}) THEN 'unset'
            WHEN NOT ({expired}) THEN 'young'
            WHEN NOT ({unheld}) THEN 'held'
            WHEN NOT ({unreferenced}) THEN 'referenced'
            ELSE 'goes' END AS fate,
       count(*),
       greatest('0001-01-02 00:00Z', least('9999-12-30 00:00Z', min({column})::timestamptz)),
       greatest('0001-01-02 00:00Z', least('9999-12-30 00:00Z', max({column})::timestamptz))
FROM {table} AS doomed
GROUP BY 1, 2
