-- Vacuums one table. The options depend on the server's version and the policy.
VACUUM ({options}) {table}
