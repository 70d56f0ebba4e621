-- Sessions: three quarters of them older than 30 days, the last hundredth written late.
INSERT INTO public.sessions
  (id, user_id, token_hash, ip_address, user_agent, created_at, last_seen_at, expires_at)
SELECT pg_temp.id(seed, 'session', number),
       pg_temp.id(seed, 'user', person),
       sha256(uuid_send(pg_temp.id(seed, 'token', number))),
       pg_temp.address(seed, person),
       pg_temp.user_agent(seed, number),
       moment,
       least(as_of, moment + power(pg_temp.share(seed, 'last seen', number), 4) * interval '20 days'),
       moment + interval '30 days'
FROM demo
CROSS JOIN LATERAL pg_temp.moments(seed, 'session', sessions, %(from_number)s, %(to_number)s)
CROSS JOIN LATERAL (SELECT pg_temp.user_of(seed, number, users) AS person OFFSET 0) whose
