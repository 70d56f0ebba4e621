-- The index of a name by its oid, another one once it was built anew, and its bytes.
SELECT coalesce(to_regclass(%(index)s)::oid, 0), coalesce(pg_relation_size(to_regclass(%(index)s)), 0)
