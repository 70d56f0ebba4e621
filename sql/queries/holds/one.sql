-- One hold, whatever has become of it.
SELECT id, table_schema || '.' || table_name, predicate, reason, owner, created_at, created_by, ends_at,
       released_at, released_by
FROM ops.legal_holds
WHERE id = %(id)s
