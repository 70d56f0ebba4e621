-- What is still expired, and the oldest row the table holds. A time that is no moment (-infinity) is none.
SELECT (SELECT count(*) FROM {table} WHERE {column} < %(cutoff)s AND {column} > '-infinity'),
       (SELECT min({column}) FROM {table} WHERE {column} > '-infinity')
