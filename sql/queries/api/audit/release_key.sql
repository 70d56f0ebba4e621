-- Gives back an Idempotency-Key that was claimed for a body at that time.
SELECT ops.release_claim(%(id)s::uuid, %(body_sha256)s, %(time)s)
