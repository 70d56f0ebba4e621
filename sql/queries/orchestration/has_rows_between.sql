-- Whether the table has a row in that period: lower bound inclusive, upper bound exclusive.
SELECT EXISTS (SELECT FROM {table} WHERE {column} >= %(lower)s AND {column} < %(upper)s)
