-- Binds a hold to a table and its columns as they are now, if it is not released.
SELECT ops.bind_hold(%(id)s, %(schema)s, %(table)s, %(oid)s, %(predicate)s, %(predicate_text)s)
