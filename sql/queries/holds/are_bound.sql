-- Whether holds are bound to tables (a migration does that); before, they apply to the table that has the name.
SELECT to_regclass('ops.holds_now') IS NOT NULL
