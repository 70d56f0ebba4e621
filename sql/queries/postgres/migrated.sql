-- Whether our tables exist. A plan does not require them.
SELECT to_regclass('ops.legal_holds') IS NOT NULL
