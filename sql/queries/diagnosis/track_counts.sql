-- Whether the server counts the rows that are written and dead.
SELECT current_setting('track_counts')::boolean
