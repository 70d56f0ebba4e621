-- From a time on, inclusive.
created_at >= %(start_date)s
