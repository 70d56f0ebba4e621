-- The users of a batch where user_id refers to nothing: all of them count.
SELECT DISTINCT user_id AS id FROM given WHERE user_id IS NOT NULL
