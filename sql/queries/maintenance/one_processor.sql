-- A count uses one of the server's processors and leaves the others to the application.
SELECT set_config('max_parallel_workers_per_gather', '0', true)
