-- A hold begins, on the table and columns as they are now.
INSERT INTO ops.legal_holds
  (table_schema, table_name, table_oid, table_columns, predicate, predicate_text, reason, owner, created_by, ends_at)
VALUES
  (%(schema)s, %(table)s, %(oid)s, ops.columns_of(%(oid)s), %(predicate)s, %(predicate_text)s, %(reason)s, %(owner)s,
   %(by)s, %(ends_at)s)
RETURNING id
