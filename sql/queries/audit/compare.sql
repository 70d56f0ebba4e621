-- Of the events of a batch whose id and time are stored: the place in the batch, and whether the content is the same.
SELECT place, same FROM ops.compare_events(%(events)s::jsonb, %(times)s::timestamptz[])
