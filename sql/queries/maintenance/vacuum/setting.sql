-- What a setting of this session is.
SELECT current_setting(%(name)s)
