-- Whether the table has a row of that time, the first moment included and the last not.
SELECT EXISTS (SELECT FROM {table} WHERE {column} >= %(lower)s AND {column} < %(upper)s)
