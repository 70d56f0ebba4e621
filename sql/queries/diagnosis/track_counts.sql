-- Whether the server counts written and dead rows.
SELECT current_setting('track_counts')::boolean
