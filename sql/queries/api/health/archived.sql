-- When the newest archive was stored, and how many have been waiting to be for over an hour.
SELECT max(stored_at), count(*) FILTER (WHERE stored_at IS NULL AND created_at < now() - interval '1 hour')
FROM ops.archives
