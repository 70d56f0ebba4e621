-- Whether migrations of schema ops are counted here; they may be another program's.
SELECT to_regclass('ops._yoyo_migration') IS NOT NULL
