-- How far a target has come; its address and its server.
SELECT seen::text, seen_at, visible::text, visible_at, transaction::text, place, nth,
       since, logged_created_at::text, logged_id, address_sha256, server
FROM ops.forward_targets
WHERE name = %(name)s
