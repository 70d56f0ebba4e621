-- A hold is bound to a table and its columns as they are now, if it has not been released.
UPDATE ops.legal_holds
SET table_schema = %(schema)s, table_name = %(table)s, table_oid = %(oid)s, table_columns = ops.columns_of(%(oid)s),
    predicate = %(predicate)s, predicate_text = %(predicate_text)s
WHERE id = %(id)s AND released_at IS NULL
