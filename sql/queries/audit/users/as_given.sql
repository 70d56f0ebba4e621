-- The users of a batch when user_id has no foreign key: all of them.
SELECT DISTINCT user_id AS id FROM given WHERE user_id IS NOT NULL
