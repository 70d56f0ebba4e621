-- Memories, about five for each session, in the order of time except for the last hundredth. One in twenty
-- belongs to no session, and one in twenty-five to a session that was deleted long ago: orphans even before
-- maintenance has deleted anything. Expired sessions will leave more.
INSERT INTO public.memories (id, user_id, session_id, kind, content, importance, created_at)
SELECT pg_temp.id(seed, 'memory', number),
       s.user_id,
       CASE WHEN belongs < 0.05 THEN NULL
            WHEN belongs < 0.09 THEN pg_temp.id(seed, 'deleted session', session)
            ELSE s.id END,
       pg_temp.pick(pg_temp.share(seed, 'memory kind', number),
                    ARRAY['fact', 'fact', 'preference', 'summary', 'task', 'correction']),
       pg_temp.sentence(seed, number * 4)
       || CASE WHEN length > 0.2 THEN ' ' || pg_temp.sentence(seed, number * 4 + 1) ELSE '' END
       || CASE WHEN length > 0.5 THEN ' ' || pg_temp.sentence(seed, number * 4 + 2) ELSE '' END
       || CASE WHEN length > 0.8 THEN ' ' || pg_temp.sentence(seed, number * 4 + 3) ELSE '' END,
       floor(pg_temp.share(seed, 'importance', number) * 1000) / 1000,
       s.created_at + pg_temp.share(seed, 'memory moment', number) * interval '30 minutes'
FROM demo
CROSS JOIN LATERAL generate_series(%(from_number)s, least(memories, %(to_number)s)) number
CROSS JOIN LATERAL (
  SELECT pg_temp.share(seed, 'belongs', number) AS belongs,
         pg_temp.share(seed, 'length', number) AS length,
         CASE WHEN number <= memories - memories / 100
              THEN least(sessions - sessions / 100,
                         1 + (number - 1) * (sessions - sessions / 100) / (memories - memories / 100)
                         + floor(20 * pg_temp.share(seed, 'session of memory', number))::bigint)
              ELSE 1 + floor(sessions * pg_temp.share(seed, 'session of memory', number))::bigint
         END AS session
  OFFSET 0
) derived
JOIN public.sessions s ON s.id = pg_temp.id(seed, 'session', session)
ORDER BY number
