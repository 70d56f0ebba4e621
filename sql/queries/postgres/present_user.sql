-- With whose rights this session works.
SELECT current_user
