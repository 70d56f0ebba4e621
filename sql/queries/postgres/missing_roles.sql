-- Those of our roles that do not exist, because the user who migrated may not create roles.
SELECT name
FROM unnest(ARRAY['ops_reader', 'ops_writer', 'ops_maintenance', 'ops_forwarder']) WITH ORDINALITY AS ours (name, nth)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ours.name)
ORDER BY nth
