-- In this transaction the catalogs' texts qualify all names with their schema, so that they can be executed.
SELECT set_config('search_path', '', true)
