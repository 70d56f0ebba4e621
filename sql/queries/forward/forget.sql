-- Deletes a target's position, and returns its host.
DELETE FROM ops.forward_targets WHERE name = %(name)s RETURNING host
