-- The current user, whose privileges this session has.
SELECT current_user
