-- Records that a complete run has used an approval, which no other run can use then.
SELECT ops.use_plan(%(id)s, %(run_id)s)
