-- Older than the last event of the page before. The first line is implied by the second; PostgreSQL leaves
-- out partitions by it, which it does not by comparing rows.
created_at <= %(after_time)s
AND (created_at, id) < (%(after_time)s, %(after_id)s)
