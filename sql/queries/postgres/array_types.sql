-- The type of an array of each named column's values, in the order the columns are named.
SELECT n.nspname, arrays.typname
FROM unnest(%(columns)s::text[]) WITH ORDINALITY AS named (name, place)
JOIN pg_attribute a ON a.attrelid = %(oid)s AND a.attname = named.name
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_type arrays ON arrays.oid = t.typarray
JOIN pg_namespace n ON n.oid = arrays.typnamespace
ORDER BY named.place
