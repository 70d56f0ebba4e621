-- The first day between two days, both included, of which the table has archived rows; NULL: none.
SELECT min(day)
FROM ops.archives
WHERE table_schema = %(schema)s AND table_name = %(table)s AND day BETWEEN %(earliest)s AND %(latest)s
