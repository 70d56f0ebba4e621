-- What a session of this role begins with that would change what a driver reads before it can set anything: as options
-- of a connection. Empty where it is as by default.
SELECT CASE WHEN reset_val = 'on' THEN '-c quote_all_identifiers=off' ELSE '' END
FROM pg_settings
WHERE name = 'quote_all_identifiers'
