-- An event as JSON.
row_to_json(event)::text
