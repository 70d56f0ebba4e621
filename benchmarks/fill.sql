-- Inserts events, evenly over the last 120 days: 20 types, 5,000 users, 300 addresses, 1 in 50 a failure.
INSERT INTO public.audit_logs (
  event_type, user_id, resource_type, resource_id, action, details, ip_address, status, duration_ms,
  created_at, created_by
)
SELECT 'type_' || number %% 20,
       md5('user' || number * 7919 %% 5000)::uuid,
       'document',
       md5('document' || number * 104729 %% 50000)::uuid,
       (ARRAY['read', 'write', 'delete', 'share', 'login'])[1 + number * 31 %% 5],
       jsonb_build_object(
         'request', jsonb_build_object('id', md5(('request' || number %% 5000)::text), 'region', 'region-' || number %% 7),
         'errorCode', CASE WHEN number %% 50 = 0 THEN 'AccessDenied' END,
         'bytes', number %% 100000,
         'agent', 'client/' || number %% 13 || '.0 (linux; x86_64) library/2.25'
       ),
       ('192.0.' || number %% 3 || '.' || number * 17 %% 100)::inet,
       CASE WHEN number %% 50 = 0 THEN 'failure' ELSE 'success' END,
       number %% 1000,
       now() - interval '120 days' * (1 - number::float8 / %(rows)s),
       'user-' || number * 7919 %% 5000 || '@example.com'
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number
