-- Grants each of our roles what the migrations grant it, if it has no privilege on schema ops yet: the role did not exist
-- when they were applied, or the database was restored without it. Otherwise its grants stay as they are, because an
-- administrator may have revoked some. Only the owner of our tables can grant; for other users this does nothing.
DO $$
DECLARE
  new_roles text[] := ARRAY(
    SELECT r.rolname
    FROM pg_roles r, pg_namespace n
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'migrations'
    WHERE n.nspname = 'ops' AND pg_has_role(c.relowner, 'USAGE') AND to_regclass('public.audit_logs') IS NOT NULL
      AND r.rolname IN ('ops_reader', 'ops_writer', 'ops_maintenance', 'ops_forwarder')
      AND NOT EXISTS (SELECT FROM aclexplode(n.nspacl) AS acl WHERE acl.grantee = r.oid)
  );
BEGIN
  IF 'ops_reader' = ANY (new_roles) THEN
    GRANT USAGE ON SCHEMA public, ops TO ops_reader;
    GRANT SELECT
      ON public.audit_logs, ops.maintenance_runs, ops.api_keys, ops.secrets, ops.audit_arrivals, ops.migrations,
         ops.archives, ops.legal_holds, ops.holds_now, ops.plans, ops.detached_partitions, ops.adoptions,
         ops.missing_parents, ops.orphan_clock, ops.orphan_tracks, ops.cascaded_rows, ops.maintenance_pauses,
         ops.loaded_policies, ops.forward_targets
      TO ops_reader;
    GRANT EXECUTE ON FUNCTION ops.record_loaded_policies(text, text, text) TO ops_reader;
    -- The application's tables: only if we may grant access to them.
    IF has_table_privilege(to_regclass('public.conversations'), 'SELECT WITH GRANT OPTION') THEN
      GRANT SELECT ON public.conversations TO ops_reader;
    END IF;
    IF has_table_privilege(to_regclass('public.sessions'), 'SELECT WITH GRANT OPTION') THEN
      GRANT SELECT ON public.sessions TO ops_reader;
    END IF;
  END IF;

  IF 'ops_writer' = ANY (new_roles) THEN
    GRANT USAGE ON SCHEMA public, ops TO ops_writer;
    GRANT INSERT, SELECT (id, created_at, event_type) ON public.audit_logs TO ops_writer;
    GRANT SELECT (id, last_used_at), UPDATE (last_used_at) ON ops.api_keys TO ops_writer;
    GRANT EXECUTE ON FUNCTION
      ops.known_users(uuid[]), ops.claim_receipts(uuid[], bytea), ops.purge_receipts(integer),
      ops.record_loaded_policies(text, text, text), ops.claim_ids(uuid[], timestamptz[]),
      ops.compare_events(jsonb, timestamptz[]), ops.release_claim(uuid, bytea, timestamptz)
    TO ops_writer;
  END IF;

  IF 'ops_maintenance' = ANY (new_roles) THEN
    GRANT USAGE ON SCHEMA public, ops TO ops_maintenance;
    GRANT SELECT, INSERT, DELETE ON public.audit_logs TO ops_maintenance;
    GRANT SELECT, INSERT, UPDATE ON ops.maintenance_runs, ops.cascaded_rows TO ops_maintenance;
    GRANT SELECT, INSERT, UPDATE, DELETE
      ON ops.maintenance_cursors, ops.missing_parents, ops.orphan_clock, ops.orphan_tracks
      TO ops_maintenance;
    GRANT SELECT, DELETE ON ops.detached_partitions TO ops_maintenance;
    GRANT SELECT
      ON ops.archives, ops.archive_origin, ops.legal_holds, ops.holds_now, ops.plans, ops.migrations, ops.adoptions,
         ops.maintenance_pauses, ops.loaded_policies, ops.forward_targets
      TO ops_maintenance;
    GRANT INSERT (id, policy, definition, cutoff, worker_clock, eligible, total, fraction, exact, reasons, cascaded,
                  follows) ON ops.plans TO ops_maintenance;
    GRANT EXECUTE ON FUNCTION
      ops.approve_plan(text, text), ops.use_plan(text, bigint),
      ops.pause(text, text, timestamptz), ops.resume(text),
      ops.add_hold(text, text, oid, jsonb, text, text, text, text, timestamptz),
      ops.bind_hold(bigint, text, text, oid, jsonb, text), ops.release_hold(bigint, text),
      ops.record_archives(jsonb), ops.mark_archives(bigint[], boolean, boolean, text),
      ops.create_staging(text, text[], text[]), ops.drop_staging(text),
      ops.claim_receipts(uuid[], bytea), ops.known_users(uuid[]),
      ops.record_deleted_parents(), ops.record_detaching(oid), ops.keep_holds(), ops.lock_holds(),
      ops.record_loaded_policies(text, text, text), ops.claim_ids(uuid[], timestamptz[]),
      ops.compare_events(jsonb, timestamptz[])
    TO ops_maintenance;
  END IF;

  IF 'ops_forwarder' = ANY (new_roles) THEN
    GRANT USAGE ON SCHEMA public, ops TO ops_forwarder;
    GRANT SELECT, INSERT ON public.audit_logs TO ops_forwarder;
    GRANT SELECT ON ops.audit_arrivals, ops.migrations TO ops_forwarder;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ops.forward_targets TO ops_forwarder;
    GRANT EXECUTE ON FUNCTION
      ops.known_users(uuid[]), ops.claim_ids(uuid[], timestamptz[]), ops.compare_events(jsonb, timestamptz[])
    TO ops_forwarder;
  END IF;
END
$$
