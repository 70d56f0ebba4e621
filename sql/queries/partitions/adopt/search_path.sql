-- In this transaction names stand with their schema, so that what the catalog writes can be run.
SELECT set_config('search_path', '', true)
