-- Before the beginning of a day, which stands in the statement as that of from_day does.
created_at < {}::timestamptz
