-- The estimated number of conversations, from statistics (NULL: no such table), and whether there is a table
-- of sessions with an expiry.
SELECT (SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass('public.conversations')),
       EXISTS (
         SELECT FROM pg_attribute
         WHERE attrelid = to_regclass('public.sessions') AND attname = 'expires_at' AND NOT attisdropped
       )
