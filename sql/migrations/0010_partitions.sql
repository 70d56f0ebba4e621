-- Partitions that are being dropped.

-- Inserted before a partition is detached, and deleted when it is dropped or attached again, so that the next run
-- finds an interrupted drop.
CREATE TABLE ops.detached_partitions (
  partition   oid         PRIMARY KEY,
  schema      text        NOT NULL,
  name        text        NOT NULL,
  parent      oid         NOT NULL,
  bounds      text        NOT NULL,
  lower       timestamptz,
  upper       timestamptz NOT NULL,
  intended_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX detached_partitions_parent ON ops.detached_partitions (parent);

COMMENT ON TABLE ops.detached_partitions IS 'Partitions that are detached and about to be dropped';
COMMENT ON COLUMN ops.detached_partitions.bounds IS 'As shown by pg_get_expr in a session with time zone UTC';

-- The four functions below run with the privileges of their caller. Each locks first and compares then, so that it
-- works on exactly the table that it compared.

-- Detaches exactly that partition of that table, and keeps its bounds as a constraint: rows inserted directly into
-- it must still be within its bounds.
CREATE FUNCTION ops.detach_partition(child oid, child_schema text, child_name text, child_parent oid, child_bounds text)
RETURNS void LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  described text;
BEGIN
  EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', child_parent::regclass);
  IF pg_catalog.to_regclass(format('%I.%I', child_schema, child_name)) IS NOT NULL THEN
    EXECUTE format('LOCK TABLE ONLY %I.%I IN ACCESS EXCLUSIVE MODE', child_schema, child_name);
  END IF;
  IF NOT EXISTS (
    SELECT
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
    WHERE c.oid = child AND n.nspname = child_schema AND c.relname = child_name AND c.relkind = 'r'
      AND i.inhparent = child_parent AND NOT i.inhdetachpending
      AND pg_catalog.pg_get_expr(c.relpartbound, c.oid) = child_bounds
  ) THEN
    RAISE EXCEPTION '%.% is no longer the chosen partition (%); nothing was changed',
      child_schema, child_name, child_bounds USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  described := pg_catalog.pg_get_partition_constraintdef(child);
  EXECUTE format('ALTER TABLE %s DETACH PARTITION %I.%I', child_parent::regclass, child_schema, child_name);
  EXECUTE format('ALTER TABLE %I.%I ADD CONSTRAINT ops_bounds CHECK (%s) NOT VALID',
                 child_schema, child_name, described);
END
$$;

-- Locks a recorded partition, and checks that it is still the table that was detached.
CREATE FUNCTION ops.lock_detached(child oid, child_schema text, child_name text, child_bounds text, mode text)
RETURNS void LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  IF mode NOT IN ('SHARE', 'ACCESS EXCLUSIVE') THEN
    RAISE EXCEPTION 'mode is %; it must be SHARE or ACCESS EXCLUSIVE', mode;
  END IF;
  IF pg_catalog.to_regclass(format('%I.%I', child_schema, child_name)) IS NOT NULL THEN
    EXECUTE format('LOCK TABLE ONLY %I.%I IN %s MODE', child_schema, child_name, mode);
  END IF;
  IF NOT EXISTS (
    SELECT
    FROM ops.detached_partitions d
    JOIN pg_catalog.pg_class c ON c.oid = d.partition
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE d.partition = child AND d.schema = child_schema AND d.name = child_name AND d.bounds = child_bounds
      AND n.nspname = d.schema AND c.relname = d.name AND c.relkind = 'r' AND NOT c.relispartition
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE child IN (i.inhrelid, i.inhparent))
      AND EXISTS (SELECT FROM pg_catalog.pg_class p WHERE p.oid = d.parent AND p.relkind = 'p')
  ) THEN
    RAISE EXCEPTION '%.% is not the table that was detached as partition (%); it was not changed',
      child_schema, child_name, child_bounds USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
END
$$;

-- Drops a detached partition after checking that it is the recorded one. It cannot drop any other table.
CREATE FUNCTION ops.drop_detached(child oid, child_schema text, child_name text, child_bounds text)
RETURNS void LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  PERFORM ops.lock_detached(child, child_schema, child_name, child_bounds, 'ACCESS EXCLUSIVE');
  EXECUTE format('DROP TABLE %I.%I', child_schema, child_name);
  DELETE FROM ops.detached_partitions WHERE partition = child;
END
$$;

-- Attaches a detached partition again.
CREATE FUNCTION ops.attach_detached(child oid, child_schema text, child_name text, child_bounds text)
RETURNS void LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  PERFORM ops.lock_detached(child, child_schema, child_name, child_bounds, 'ACCESS EXCLUSIVE');
  EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I.%I %s',
                 (SELECT parent::regclass FROM ops.detached_partitions WHERE partition = child),
                 child_schema, child_name, child_bounds);
  EXECUTE format('ALTER TABLE %I.%I DROP CONSTRAINT IF EXISTS ops_bounds', child_schema, child_name);
  DELETE FROM ops.detached_partitions WHERE partition = child;
END
$$;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_reader') THEN
    GRANT SELECT ON ops.detached_partitions, ops.adoptions TO ops_reader;
  END IF;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_maintenance') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON ops.detached_partitions TO ops_maintenance;
  END IF;
END
$$;
