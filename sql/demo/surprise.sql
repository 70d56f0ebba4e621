-- A bulk load of old rows, as a restored backup or a wrong import makes: three for each session, half a year old.
INSERT INTO public.sessions (user_id, token_hash, created_at, last_seen_at, expires_at)
SELECT s.user_id, s.token_hash, old.moment, old.moment, old.moment + interval '30 days'
FROM public.sessions s
CROSS JOIN generate_series(1, 3)
CROSS JOIN (SELECT now() - interval '180 days' AS moment) old
