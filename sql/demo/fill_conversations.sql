-- Conversations. They outlive their session, and one in ten never had one.
INSERT INTO public.conversations
  (id, user_id, session_id, title, model, message_count, created_at, updated_at)
SELECT pg_temp.id(seed, 'conversation', number),
       pg_temp.id(seed, 'user', pg_temp.user_of(seed, session, users)),
       CASE WHEN pg_temp.share(seed, 'has session', number) >= 0.1
            THEN pg_temp.id(seed, 'session', session) END,
       pg_temp.pick(pg_temp.share(seed, 'title verb', number),
                    ARRAY['Planning', 'Questions about', 'Notes on', 'Draft of', 'Review of', 'Ideas for'])
       || ' ' ||
       pg_temp.pick(pg_temp.share(seed, 'title noun', number),
                    ARRAY['the spring release', 'a trip to Lisbon', 'the tax return', 'our onboarding',
                          'a birthday dinner', 'the quarterly report', 'a job interview', 'the new kitchen']),
       pg_temp.pick(pg_temp.share(seed, 'model', number), ARRAY['large-1', 'large-1', 'small-2', 'small-2', 'vision-1']),
       messages,
       moment,
       least(as_of, moment + messages * interval '95 seconds')
FROM demo
CROSS JOIN LATERAL pg_temp.moments(seed, 'conversation', conversations, %(from_number)s, %(to_number)s)
CROSS JOIN LATERAL (
  SELECT 1 + (number - 1) * sessions / conversations AS session,
         2 + floor(power(pg_temp.share(seed, 'messages', number), 3) * 80)::integer AS messages
  OFFSET 0
) derived
