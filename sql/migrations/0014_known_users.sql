-- Maintenance has row_security off and writes audit events; a policy of users must not make those fail.
-- depends: 0012_orphans_places

ALTER FUNCTION ops.known_users(uuid[]) SET row_security = on;
