-- What a retention policy would remove at this cutoff: rows, of how many, oldest and newest of them.
-- A row without a time never expires; it is counted so that somebody learns of it.
SELECT count(*) FILTER (WHERE {column} < %(cutoff)s),
       count(*),
       min({column}) FILTER (WHERE {column} < %(cutoff)s),
       max({column}) FILTER (WHERE {column} < %(cutoff)s),
       count(*) FILTER (WHERE {column} IS NULL)
FROM {table}
