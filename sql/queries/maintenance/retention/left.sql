-- How many rows are still expired. A time that is no moment (-infinity) is none.
SELECT count(*) FROM {rows} WHERE {column} < %(cutoff)s AND {column} > '-infinity'
