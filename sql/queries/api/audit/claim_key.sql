-- Claims an Idempotency-Key for a body, or says for which body, and when, it was claimed before.
SELECT body_sha256 = %(body_sha256)s AS same_body, created_at
FROM ops.claim_receipts(ARRAY[%(id)s::uuid], %(body_sha256)s)
