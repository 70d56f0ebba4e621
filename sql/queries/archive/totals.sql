-- How much is archived, and how many files are damaged or still have their temporary name.
SELECT count(*), coalesce(sum(rows), 0)::bigint, coalesce(sum(bytes), 0)::bigint, max(created_at),
       count(*) FILTER (WHERE verified_ok IS FALSE),
       count(*) FILTER (WHERE stored_at IS NULL AND restored_at IS NULL AND verified_ok IS DISTINCT FROM false)
FROM ops.archives
