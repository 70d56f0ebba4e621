-- Whoever counts takes one of the server's processors and leaves the others to those it is there for.
SELECT set_config('max_parallel_workers_per_gather', '0', true)
