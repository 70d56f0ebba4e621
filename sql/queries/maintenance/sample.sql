-- Of a sample of the table's blocks: how many rows there are, go, are held, and have no time or reference.
-- PostgreSQL's own estimates know nothing of missing parents, and little of a table that was never analyzed.
SELECT (SELECT count(*) FROM {sample}),
       (SELECT count(*) FROM {sample} WHERE ({due}) AND {unheld} AND {unreferenced}),
       (SELECT count(*) FROM {sample} WHERE ({due}) AND NOT ({unheld})),
       (SELECT count(*) FROM {sample} WHERE {unset})
