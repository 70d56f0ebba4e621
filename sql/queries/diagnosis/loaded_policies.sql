-- The policies that running processes have loaded, by program and host. A process that ended, or lost the database,
-- more than five minutes ago does not count.
SELECT program, host, fingerprint, loaded_at
FROM ops.loaded_policies
WHERE seen_at > now() - interval '5 minutes'
ORDER BY program, host
