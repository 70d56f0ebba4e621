-- A run that an approval let through is complete; the approval lets no other through.
UPDATE ops.plans SET used_at = clock_timestamp(), used_by_run = %(run_id)s
WHERE id = %(id)s AND approved_at IS NOT NULL AND used_at IS NULL
RETURNING id
