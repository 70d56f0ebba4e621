-- Before the start of a day, which is a literal as in from_day.
created_at < {}::timestamptz
