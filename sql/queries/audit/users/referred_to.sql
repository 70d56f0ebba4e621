-- The existing users of a batch, when user_id refers to users. They are locked as by the foreign key's own check,
-- so that none is deleted before the insert.
SELECT id FROM ops.known_users(ARRAY(SELECT user_id FROM given)) AS users (id)
