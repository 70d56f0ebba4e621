-- One staged row whose key a row of the table has already.
SELECT ROW({values})::text
FROM {staging} AS staged
WHERE EXISTS (SELECT FROM {target} AS there WHERE {same_key})
LIMIT 1
