-- Settings of the role or database that would change what a driver reads before it can set anything, as startup options
-- of a connection that reset them. Empty where the settings are the defaults.
SELECT CASE WHEN reset_val = 'on' THEN '-c quote_all_identifiers=off' ELSE '' END
FROM pg_settings
WHERE name = 'quote_all_identifiers'
