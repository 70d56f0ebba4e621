-- Within a migration an unqualified name is never one of the application's.
SELECT set_config('search_path', 'pg_catalog', true)
