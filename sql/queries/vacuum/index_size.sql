-- The bytes of an index by its name; the one that was built anew has another oid.
SELECT coalesce(pg_relation_size(to_regclass(%(index)s)), 0)
