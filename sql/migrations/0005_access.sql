-- Access: keys with expiry and time of last use, and database roles for reading, writing and maintenance.

ALTER TABLE ops.api_keys
  ADD COLUMN expires_at   timestamptz,
  ADD COLUMN last_used_at timestamptz;

COMMENT ON COLUMN ops.api_keys.expires_at IS 'The key stops working at this time; NULL: it works until it is revoked';
COMMENT ON COLUMN ops.api_keys.last_used_at IS 'Recorded to the minute';

-- Locks the existing users as a foreign key's own check does. The lock requires UPDATE on users, which roles that
-- store audit events must not have; so this runs with the privileges of its owner. It is only called where the
-- audit log refers to users, which may change after this migration.
CREATE FUNCTION ops.known_users(wanted uuid[]) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  RETURN QUERY SELECT id FROM public.users WHERE id = ANY (wanted) FOR KEY SHARE;
END
$$;

REVOKE ALL ON FUNCTION ops.known_users(uuid[]) FROM PUBLIC;

-- Roles belong to the whole server: a migration of another database may have created them, or create them at the
-- same time. If we may not create roles, the API works as its login user and logs that at its start.
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
          RAISE WARNING 'role % does not exist and % is not permitted to create it', wanted, current_user;
      END;
    END IF;
  END LOOP;
END
$$;

-- Membership in the roles that the API's pools switch to, because the API may connect as this user.
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
      RAISE WARNING '% is not permitted to SET ROLE %', current_user, wanted;
    END;
  END LOOP;
END
$$;

-- Privileges on the partitioned table apply to its partitions when they are accessed through it.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_reader') THEN
    GRANT USAGE ON SCHEMA public, ops TO ops_reader;
    GRANT SELECT
      ON public.audit_logs, ops.maintenance_runs, ops.api_keys, ops.secrets, ops.audit_arrivals,
         ops.migrations
      TO ops_reader;
    -- The secret that signs cursors, and the arrivals that the live tail reads.
    GRANT SELECT ON ops.secrets, ops.audit_arrivals TO ops_reader;
    -- The application's tables: only if we may grant access to them.
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
