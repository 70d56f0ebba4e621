-- Up to a moment, that moment included.
created_at <= %(end_date)s
