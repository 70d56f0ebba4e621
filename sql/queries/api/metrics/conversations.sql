-- How many conversations there are, exactly.
SELECT count(*) FROM public.conversations
