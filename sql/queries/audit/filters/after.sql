-- Older than the last event of the previous page. The first line is implied by the second, but lets PostgreSQL
-- prune partitions, which it does not do for row comparisons.
created_at <= %(after_time)s
AND (created_at, id) < (%(after_time)s, %(after_id)s)
