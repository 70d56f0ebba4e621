-- The users of a batch that there are, where user_id refers to users. Locked as the foreign key's own check would, so
-- that none is deleted between here and there.
SELECT id FROM ops.known_users(ARRAY(SELECT user_id FROM given)) AS users (id)
