-- Records that a process has loaded these policies, and still runs.
SELECT ops.record_loaded_policies(%(program)s, %(host)s, %(fingerprint)s)
