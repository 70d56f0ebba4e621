-- Binds a hold to the table and columns it was created for, not only to their names.

ALTER TABLE ops.legal_holds ADD COLUMN table_oid oid, ADD COLUMN table_columns jsonb NOT NULL DEFAULT '[]';

COMMENT ON COLUMN ops.legal_holds.table_oid IS 'The table that the hold was created for; NULL: it was dropped before this column existed';
COMMENT ON COLUMN ops.legal_holds.table_columns IS 'Its columns at that time: [{name, number, type, type_oid, modifier}]';

CREATE INDEX legal_holds_table_oid ON ops.legal_holds (table_oid) WHERE released_at IS NULL;

-- A table's columns in the form stored in a hold. Types are compared by oid; their text is only for messages.
CREATE FUNCTION ops.columns_of(of_table oid) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
    'name', attname, 'number', attnum, 'type', pg_catalog.format_type(atttypid, atttypmod),
    'type_oid', atttypid::bigint, 'modifier', atttypmod
  ) ORDER BY attnum), '[]')
  FROM pg_catalog.pg_attribute
  WHERE attrelid = of_table AND attnum > 0 AND NOT attisdropped
$$;

UPDATE ops.legal_holds h
SET table_oid = c.oid, table_columns = ops.columns_of(c.oid)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = h.table_schema AND c.relname = h.table_name AND c.relkind IN ('r', 'p')
  AND h.released_at IS NULL;

CREATE VIEW ops.holds_now AS
SELECT h.*, named.oid AS named_oid, ops.columns_of(named.oid) AS named_columns, bound.name AS bound_name
FROM ops.legal_holds h
LEFT JOIN LATERAL (
  SELECT c.oid
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = h.table_schema AND c.relname = h.table_name
) AS named ON true
LEFT JOIN LATERAL (
  SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid = h.table_oid
) AS bound ON true;

COMMENT ON VIEW ops.holds_now IS 'Each hold, what its names refer to now, and the current name of the table it was created for';

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_reader') THEN
    GRANT SELECT ON ops.holds_now TO ops_reader;
  END IF;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_maintenance') THEN
    GRANT SELECT ON ops.holds_now TO ops_maintenance;
  END IF;
END
$$;
