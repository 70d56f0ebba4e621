-- Every hold there ever was, the newest first.
SELECT id, table_schema || '.' || table_name, predicate, reason, owner, created_at, created_by, ends_at,
       released_at, released_by
FROM ops.legal_holds
ORDER BY id DESC
