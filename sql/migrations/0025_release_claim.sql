-- An Idempotency-Key is not used up by a request of which nothing was stored.

-- Deletes the claim of a key, if it is still the one that was made at that time for that body.
CREATE FUNCTION ops.release_claim(claim uuid, body bytea, made timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DELETE FROM ops.audit_receipts WHERE id = claim AND body_sha256 = body AND created_at = made
$$;

REVOKE ALL ON FUNCTION ops.release_claim(uuid, bytea, timestamptz) FROM PUBLIC;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_writer') THEN
    GRANT EXECUTE ON FUNCTION ops.release_claim(uuid, bytea, timestamptz) TO ops_writer;
  END IF;
END
$$;
