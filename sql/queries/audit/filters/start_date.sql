-- From a moment on, that moment included.
created_at >= %(start_date)s
