-- A hold begins.
INSERT INTO ops.legal_holds
  (table_schema, table_name, predicate, predicate_text, reason, owner, created_by, ends_at)
VALUES
  (%(schema)s, %(table)s, %(predicate)s, %(predicate_text)s, %(reason)s, %(owner)s, %(by)s, %(ends_at)s)
RETURNING id, table_schema || '.' || table_name, predicate, reason, owner, created_at, created_by, ends_at
