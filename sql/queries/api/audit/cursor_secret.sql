-- The secret that signs cursors, the same for every process of the API.
SELECT value FROM ops.secrets WHERE name = 'cursor'
