-- What a session of this role begins with that would change what a driver reads before it can set anything: as options
-- of a connection. Empty where it is as by default.
SELECT coalesce(string_agg('-c ' || name || '=' || wanted, ' '), '')
FROM (VALUES ('quote_all_identifiers', 'off'), ('statement_timeout', '0'), ('lock_timeout', '0')) AS needed (name, wanted)
JOIN pg_settings s USING (name)
WHERE s.reset_val <> wanted
