-- From the start of a day on. The time is a literal in the statement, so that a generic plan has no more
-- partitions than necessary.
created_at >= {}::timestamptz
