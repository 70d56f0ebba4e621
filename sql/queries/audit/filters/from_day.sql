-- From the beginning of a day on. The moment stands in the statement, so that a kept plan holds no more
-- partitions than it has to.
created_at >= {}::timestamptz
