-- A run that an approval let through is complete; the approval lets no other through.
SELECT ops.use_plan(%(id)s, %(run_id)s)
