-- The open adoption of a table.
SELECT id, old, new, column_name, time_zone, first_day, state, position, copied
FROM ops.adoptions
WHERE schema = %(schema)s AND name = %(name)s AND state IN ('preparing', 'copying', 'swapped')
