-- The collation of each named column, in the order they are named; 0 where its type has none.
SELECT a.attcollation
FROM unnest(%(columns)s::text[]) WITH ORDINALITY AS named (name, place)
JOIN pg_attribute a ON a.attrelid = %(oid)s AND a.attname = named.name
ORDER BY named.place
