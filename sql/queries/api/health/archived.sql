-- When the last archived file was stored, and how many have waited for over an hour to be stored.
SELECT max(stored_at), count(*) FILTER (WHERE stored_at IS NULL AND created_at < now() - interval '1 hour')
FROM ops.archives
