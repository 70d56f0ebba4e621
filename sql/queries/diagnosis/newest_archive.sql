-- The newest file that has its final name in the archive, and this database's origin, which its manifest must have.
SELECT a.path, o.id::text
FROM ops.archives a, ops.archive_origin o
WHERE a.stored_at IS NOT NULL
ORDER BY a.id DESC
LIMIT 1
