-- One staged row whose key already exists in the table.
SELECT ROW({values})::text
FROM {staging} AS staged
WHERE EXISTS (SELECT FROM {target} AS there WHERE {same_key})
LIMIT 1
