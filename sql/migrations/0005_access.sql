-- Who may do what: keys that expire and say when they were used, and a database role for each need.
-- depends: 0003_ingest 0004_search 0004_search

ALTER TABLE ops.api_keys
  ADD COLUMN expires_at   timestamptz,
  ADD COLUMN last_used_at timestamptz;

COMMENT ON COLUMN ops.api_keys.expires_at IS 'From then on the key no longer works; NULL: it works until revoked';
COMMENT ON COLUMN ops.api_keys.last_used_at IS 'Kept to the minute';

-- Locks the users that exist as a foreign key's own check would. The lock takes the right to UPDATE users,
-- which whoever writes audit events must not have; so this runs with the rights of its owner. It is asked
-- only where the audit log refers to users, which it may come to do later than this.
CREATE FUNCTION ops.known_users(wanted uuid[]) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  RETURN QUERY SELECT id FROM public.users WHERE id = ANY (wanted) FOR KEY SHARE;
END
$$;

REVOKE ALL ON FUNCTION ops.known_users(uuid[]) FROM PUBLIC;

-- Roles belong to the whole server: another database of it may have made them, and may be about to.
-- Where we may not make any, the API works as the user it connects as, and says so when it starts.
DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['ops_reader', 'ops_writer', 'ops_maintenance'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
      EXCEPTION
        WHEN duplicate_object OR unique_violation THEN NULL;
        WHEN insufficient_privilege THEN
          RAISE WARNING 'The role % is missing and % may not create it', wanted, current_user;
      END;
    END IF;
  END LOOP;
END
$$;

-- What the API's two pools change into, this user being theirs as well.
DO $$
DECLARE
  wanted text;
BEGIN
  FOR wanted IN
    SELECT rolname FROM pg_roles WHERE rolname IN ('ops_reader', 'ops_writer', 'ops_maintenance')
  LOOP
    BEGIN
      IF NOT pg_has_role(current_user, wanted, 'MEMBER') THEN
        EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
      END IF;
    EXCEPTION WHEN insufficient_privilege THEN
      RAISE WARNING '% may not become %', current_user, wanted;
    END;
  END LOOP;
END
$$;

-- Rights on the partitioned table hold for its partitions as long as they are reached through it.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_reader') THEN
    GRANT USAGE ON SCHEMA public, ops TO ops_reader;
    GRANT SELECT
      ON public.audit_logs, ops.maintenance_runs, ops.api_keys, ops.secrets, ops.audit_arrivals,
         ops._yoyo_migration
      TO ops_reader;
    -- What signs cursors, and what the live tail follows.
    GRANT SELECT ON ops.secrets, ops.audit_arrivals TO ops_reader;
    -- What is somebody else's may not be ours to pass on.
    IF has_table_privilege(to_regclass('public.conversations'), 'SELECT WITH GRANT OPTION') THEN
      GRANT SELECT ON public.conversations TO ops_reader;
    END IF;
    IF has_table_privilege(to_regclass('public.sessions'), 'SELECT WITH GRANT OPTION') THEN
      GRANT SELECT ON public.sessions TO ops_reader;
    END IF;
  END IF;

  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_writer') THEN
    GRANT USAGE ON SCHEMA public, ops TO ops_writer;
    -- ON CONFLICT and RETURNING read these columns.
    GRANT INSERT, SELECT (id, created_at, event_type) ON public.audit_logs TO ops_writer;
    GRANT SELECT (id, last_used_at), UPDATE (last_used_at) ON ops.api_keys TO ops_writer;
    GRANT EXECUTE ON FUNCTION ops.known_users(uuid[]) TO ops_writer;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ops.audit_receipts TO ops_writer;
  END IF;

  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_maintenance') THEN
    GRANT USAGE ON SCHEMA public, ops TO ops_maintenance;
    GRANT SELECT, INSERT, DELETE ON public.audit_logs TO ops_maintenance;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ops.maintenance_runs, ops.maintenance_cursors TO ops_maintenance;
  END IF;
END
$$;
