-- Of a sample of the table's blocks: how many rows it has, and how many are deleted, on hold, and without time or
-- reference. PostgreSQL's own estimates do not know missing parents, and little of a table that was never analyzed.
SELECT (SELECT count(*) FROM {sample}),
       (SELECT count(*) FROM {sample} WHERE ({condition}) AND {unheld} AND {unreferenced}),
       (SELECT count(*) FROM {sample} WHERE ({condition}) AND NOT ({unheld})),
       (SELECT count(*) FROM {sample} WHERE {null})
