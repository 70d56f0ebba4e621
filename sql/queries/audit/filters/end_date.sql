-- Up to a time, inclusive.
created_at <= %(end_date)s
