-- Claims an Idempotency-Key for a body, or says for which body, and when, it was claimed before.
INSERT INTO ops.audit_receipts AS claimed (id, created_at, body_sha256)
VALUES (%(id)s, clock_timestamp(), %(body_sha256)s)
ON CONFLICT (id) DO UPDATE SET body_sha256 = claimed.body_sha256
RETURNING body_sha256 = %(body_sha256)s AS same_body, created_at
