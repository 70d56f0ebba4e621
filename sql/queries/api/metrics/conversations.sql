-- The exact number of conversations.
SELECT count(*) FROM public.conversations
