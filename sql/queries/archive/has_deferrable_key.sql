-- Whether a unique or exclusion constraint of the table is deferrable: ON CONFLICT cannot go by it.
SELECT EXISTS (
  SELECT FROM pg_constraint WHERE conrelid = %(oid)s AND contype IN ('p', 'u', 'x') AND condeferrable
)
