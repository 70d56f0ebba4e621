-- Treats what roles write into our tables as untrusted values: a session that reads them, perhaps with more
-- privileges, does not build unchecked SQL from them, and opens no file outside the archive.

-- Whether a hold's predicate is valid: comparisons with the operators of `opsctl hold add`.
CREATE FUNCTION ops.is_predicate(conditions jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
  SELECT jsonb_typeof(conditions) = 'array' AND jsonb_array_length(conditions) > 0
    AND NOT EXISTS (
      SELECT
      FROM jsonb_array_elements(CASE jsonb_typeof(conditions) WHEN 'array' THEN conditions ELSE '[]' END) AS one
      WHERE (
        jsonb_typeof(one -> 'column') = 'string' AND jsonb_typeof(one -> 'value') = 'string'
        AND one ->> 'operator' IN ('=', '>=', '<=', '>', '<')
        AND CASE one -> 'time' WHEN 'false' THEN true
            -- The format of Python's datetime.isoformat().
            WHEN 'true' THEN one ->> 'value' ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?[+-]\d\d:\d\d(:\d\d(\.\d{6})?)?$'
            END
      ) IS NOT TRUE
    )
$$;

-- NOT VALID: existing rows were written by us.
ALTER TABLE ops.legal_holds ADD CONSTRAINT legal_holds_predicate CHECK (ops.is_predicate(predicate)) NOT VALID;

-- Adding a hold waits for transactions that delete rows, through locks on the table of holds. Advisory locks would not
-- do: any role may take them, and could keep holds from being added.
CREATE FUNCTION ops.keep_holds() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  LOCK TABLE ops.legal_holds IN ROW SHARE MODE;
END
$$;

CREATE FUNCTION ops.lock_holds() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  LOCK TABLE ops.legal_holds IN EXCLUSIVE MODE;
END
$$;

REVOKE ALL ON FUNCTION ops.keep_holds(), ops.lock_holds() FROM PUBLIC;

COMMENT ON TABLE ops.legal_holds IS 'Rows that no policy may delete; ops.lock_holds() waits for transactions that delete rows';

-- The path of an archived file must be inside of the archive.
ALTER TABLE ops.archives ADD CONSTRAINT archives_path CHECK (
  path !~ '(^/)|(^|/)\.{0,2}(/|$)|\\' AND temporary_path !~ '(^/)|(^|/)\.{0,2}(/|$)|\\'
) NOT VALID;

-- The time of a key's last use must be finite.
UPDATE ops.api_keys SET last_used_at = NULL WHERE NOT isfinite(last_used_at);
ALTER TABLE ops.api_keys ADD CONSTRAINT api_keys_last_used_at CHECK (isfinite(last_used_at));

-- Records that a partition is about to be detached. Its data comes from the catalog, not from the caller.
CREATE FUNCTION ops.record_detaching(child oid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
  INSERT INTO ops.detached_partitions (partition, schema, name, parent, bounds, lower, upper)
  SELECT c.oid, n.nspname, c.relname, i.inhparent, described.bounds,
         CASE WHEN described.lower IS NOT NULL THEN greatest(described.lower::timestamptz, '0001-01-02 00:00:00+00') END,
         CASE WHEN described.upper IS NOT NULL THEN least(described.upper::timestamptz, '9999-12-30 00:00:00+00') END
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_inherits i ON i.inhrelid = c.oid
  CROSS JOIN LATERAL (
    SELECT pg_get_expr(c.relpartbound, c.oid) AS bounds,
           substring(pg_get_expr(c.relpartbound, c.oid) FROM $sql$FROM \('([^']*)'\)$sql$) AS lower,
           substring(pg_get_expr(c.relpartbound, c.oid) FROM $sql$TO \('([^']*)'\)$sql$) AS upper
  ) AS described
  WHERE c.oid = child AND c.relispartition AND c.relkind = 'r' AND described.upper IS NOT NULL
  ON CONFLICT (partition) DO UPDATE
  SET schema = excluded.schema, name = excluded.name, parent = excluded.parent, bounds = excluded.bounds,
      lower = excluded.lower, upper = excluded.upper, intended_at = excluded.intended_at
$$;

REVOKE ALL ON FUNCTION ops.record_detaching(oid) FROM PUBLIC;

-- As before, but only for a table that the login may insert into.
CREATE OR REPLACE FUNCTION ops.drop_staging(staging text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF staging !~ '^restoring_[0-9a-f]{12}$'
     OR NOT has_table_privilege(session_user, format('ops.%I', staging), 'INSERT') THEN
    RAISE EXCEPTION '% is not a staging table of %', staging, session_user USING ERRCODE = 'invalid_parameter_value';
  END IF;
  EXECUTE format('DROP TABLE ops.%I', staging);
END
$$;

-- As before, except that "deleted" must be the trigger's transition table, not another relation of that name, whose
-- code could run with the owner's privileges.
CREATE OR REPLACE FUNCTION ops.record_deleted_parents() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres'
SET bytea_output = 'hex' SET extra_float_digits = 1 AS $$
DECLARE
  columns text[] := TG_ARGV[1:];
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO ops.missing_parents (policy) VALUES (TG_ARGV[0]);
  ELSIF TG_LEVEL = 'ROW' THEN
    EXECUTE format(
      'INSERT INTO ops.missing_parents (policy, keys) SELECT $1, ARRAY[%s] WHERE %s',
      (SELECT string_agg(format('format(''%%s'', ARRAY[($2).%I])', name), ', ') FROM unnest(columns) AS name),
      (SELECT string_agg(format('($2).%I IS NOT NULL', name), ' AND ') FROM unnest(columns) AS name)
    ) USING TG_ARGV[0], OLD;
  ELSIF NOT EXISTS (
    SELECT FROM pg_trigger WHERE tgrelid = TG_RELID AND tgname = TG_NAME AND tgoldtable = 'deleted'
  ) THEN
    RAISE EXCEPTION 'the trigger % on %.% has no transition table "deleted"', TG_NAME, TG_TABLE_SCHEMA, TG_TABLE_NAME
      USING ERRCODE = 'invalid_object_definition';
  ELSE
    EXECUTE format(
      'INSERT INTO ops.missing_parents (policy, keys)
       SELECT $1, ARRAY[%s]
       FROM (SELECT %s, (row_number() OVER () - 1) / 1000 AS "part of deleted" FROM deleted WHERE %s) AS numbered
       GROUP BY "part of deleted"',
      (SELECT string_agg(format('format(''%%s'', array_agg(%I))', name), ', ') FROM unnest(columns) AS name),
      (SELECT string_agg(format('%I', name), ', ') FROM unnest(columns) AS name),
      (SELECT string_agg(format('%I IS NOT NULL', name), ' AND ') FROM unnest(columns) AS name)
    ) USING TG_ARGV[0];
  END IF;
  RETURN NULL;
END
$$;

-- As before, except that row security of the application's users is never evaluated, because its functions would run
-- with the owner's privileges: if it applies to the owner, no user is known.
CREATE OR REPLACE FUNCTION ops.known_users(wanted uuid[]) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
BEGIN
  IF NOT row_security_active('public.users') THEN
    RETURN QUERY SELECT id FROM public.users WHERE id = ANY (wanted) FOR KEY SHARE;
  END IF;
END
$$;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_maintenance') THEN
    REVOKE INSERT, UPDATE ON ops.detached_partitions FROM ops_maintenance;
    GRANT EXECUTE ON FUNCTION ops.record_detaching(oid), ops.keep_holds(), ops.lock_holds() TO ops_maintenance;
  END IF;
END
$$;
