-- What is still expired, and the oldest row the table holds.
SELECT (SELECT count(*) FROM {table} WHERE {column} < %(cutoff)s),
       (SELECT min({column}) FROM {table})
