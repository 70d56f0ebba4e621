-- Whether our tables are there. A plan can be had without them.
SELECT to_regclass('ops.legal_holds') IS NOT NULL
