-- Sessions that have not expired.
SELECT count(*) FROM public.sessions WHERE expires_at > now()
