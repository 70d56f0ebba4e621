-- Claims an Idempotency-Key for a body, or returns whether an earlier claim had the same body, and its time.
SELECT body_sha256 = %(body_sha256)s AS same_body, created_at
FROM ops.claim_receipts(ARRAY[%(id)s::uuid], %(body_sha256)s)
