-- Receipts, which make retries of events without a time safe.

-- audit_logs is only unique by (created_at, id). A receipt stores the time that was given to an id, so that a
-- retry finds the same row. It is kept for seven days (queries/audit/purge_receipts).
CREATE TABLE ops.audit_receipts (
  id          uuid        PRIMARY KEY,
  created_at  timestamptz NOT NULL,
  body_sha256 bytea,
  received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON COLUMN ops.audit_receipts.id IS
  'The id of an event without a time, or an id derived from an Idempotency-Key and its caller';
COMMENT ON COLUMN ops.audit_receipts.body_sha256 IS
  'Hash of the body sent with an Idempotency-Key, so that the same key with another body is refused';

CREATE INDEX audit_receipts_received_at ON ops.audit_receipts (received_at);
