-- The people who use the sample application; they joined over the last two years.
INSERT INTO public.users (id, email, name, locale, is_active, created_at)
SELECT pg_temp.id(seed, 'user', person),
       pg_temp.email(seed, person),
       pg_temp.first_name(seed, person) || ' ' || pg_temp.last_name(seed, person),
       pg_temp.pick(pg_temp.share(seed, 'locale', person), ARRAY['en', 'en', 'en', 'de', 'es', 'fr', 'ja']),
       pg_temp.share(seed, 'active', person) >= 0.05,
       as_of - make_interval(secs => 86400 * (120 + 610 * pg_temp.share(seed, 'joined', person)))
FROM demo
CROSS JOIN LATERAL generate_series(greatest(1, %(from_number)s), least(users, %(to_number)s)) person
