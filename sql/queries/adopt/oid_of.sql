-- The oid of a table by its quoted name.
SELECT to_regclass(%(name)s)::oid
