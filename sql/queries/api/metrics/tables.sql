-- Which of the tables that are counted the application has: conversations with how many rows as the
-- statistics know (NULL: no such table), and whether sessions say when they expire.
SELECT (SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass('public.conversations')),
       EXISTS (
         SELECT FROM pg_attribute
         WHERE attrelid = to_regclass('public.sessions') AND attname = 'expires_at' AND NOT attisdropped
       )
