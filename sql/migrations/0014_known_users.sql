-- Maintenance sets row_security = off and stores audit events; row security of users must not make those fail.
-- depends: 0012_orphans_places

ALTER FUNCTION ops.known_users(uuid[]) SET row_security = on;
