-- The value of a setting of this session.
SELECT current_setting(%(name)s)
