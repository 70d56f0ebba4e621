-- Whether holds are bound to tables yet; until they are, they are bound to what has the name when they are migrated.
SELECT to_regclass('ops.holds_now') IS NOT NULL
