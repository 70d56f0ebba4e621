-- The audit log of the application, in bursts of six events: what one user does within seconds, half of the
-- bursts with the same time on every event. The last hundredth of the bursts is written late. Events of a
-- user who no longer exists are kept: user_id is NULL and details contain the id.
INSERT INTO public.audit_logs
  (id, event_type, user_id, resource_type, resource_id, action, details, ip_address, status, duration_ms,
   created_at, created_by)
SELECT pg_temp.id(seed, 'event', event),
       kind.event_type,
       CASE WHEN kind.actor = 'user' AND NOT unresolved THEN user_id END,
       kind.resource_type,
       CASE kind.resource_type
         WHEN 'session' THEN pg_temp.id(seed, 'session', session)
         WHEN 'user' THEN user_id
         WHEN 'conversation' THEN pg_temp.id(seed, 'conversation', 1 + (event - 1) * conversations / (bursts * 6))
         WHEN 'memory' THEN pg_temp.id(seed, 'memory', 1 + (event - 1) * memories / (bursts * 6))
         ELSE CASE WHEN kind.resource_type IS NOT NULL THEN pg_temp.id(seed, kind.resource_type, event) END
       END,
       CASE WHEN pg_temp.share(seed, 'has action', event) >= 0.02 THEN kind.action END,
       CASE WHEN kind.actor = 'user' AND unresolved THEN usual || jsonb_build_object(
              'unresolved_user_id', pg_temp.id(seed, 'deleted user', event))
            WHEN status = 'failure' AND kind.usual_status = 'success' THEN usual || jsonb_build_object(
              'error', pg_temp.pick(pg_temp.share(seed, 'error', event),
                                    ARRAY['timeout', 'invalid_request', 'forbidden', 'upstream_unavailable']))
            ELSE usual
       END,
       CASE WHEN kind.actor <> 'system' THEN pg_temp.address(seed, person) END,
       status,
       kind.slowest_ms / 50
       + floor(power(pg_temp.share(seed, 'duration', event), 3) * kind.slowest_ms)::integer,
       date_trunc('second', moment)
       + CASE WHEN mod(burst, 2) = 0 THEN interval '0'
              ELSE nth * interval '1 second' * pg_temp.share(seed, 'pause', event) END,
       CASE kind.actor
         WHEN 'user' THEN pg_temp.email(seed, person)
         WHEN 'system' THEN 'system:' || kind.resource_type
       END
FROM demo
CROSS JOIN LATERAL (
  SELECT number AS burst, moment
  FROM pg_temp.moments(seed, 'burst', bursts, %(from_number)s, %(to_number)s)
) happened
CROSS JOIN LATERAL generate_series(0, 5) nth
CROSS JOIN LATERAL (
  SELECT (burst - 1) * 6 + nth + 1 AS event,
         1 + (burst - 1) * sessions / bursts AS session,
         pg_temp.user_of(seed, 1 + (burst - 1) * sessions / bursts, users) AS person
  OFFSET 0
) whose
CROSS JOIN LATERAL (
  SELECT pg_temp.id(seed, 'user', person) AS user_id,
         pg_temp.share(seed, 'known', event) < 0.006 AS unresolved,
         pg_temp.share(seed, 'status', event) AS luck
  OFFSET 0
) drawn
JOIN demo_kinds kind
  ON kind.slot = floor(pg_temp.share(seed, 'kind', event) * (SELECT count(*) FROM demo_kinds))::integer
CROSS JOIN LATERAL (
  SELECT CASE WHEN luck < 0.008 THEN 'pending' WHEN luck < 0.04 THEN 'failure' ELSE kind.usual_status END AS status
) outcome
CROSS JOIN LATERAL (
  SELECT CASE kind.event_type
           WHEN 'llm_request' THEN jsonb_build_object(
             'request_id', request_id,
             'model', pg_temp.pick(pg_temp.share(seed, 'model of request', event),
                                   ARRAY['large-1', 'large-1', 'small-2', 'small-2', 'small-2', 'vision-1']),
             'input_tokens', 40 + floor(power(pg_temp.share(seed, 'input', event), 3) * 12000)::integer,
             'output_tokens', 5 + floor(power(pg_temp.share(seed, 'output', event), 3) * 2000)::integer,
             'stream', pg_temp.share(seed, 'stream', event) < 0.8)
           WHEN 'login_failed' THEN jsonb_build_object(
             'request_id', request_id, 'email', pg_temp.email(seed, person), 'reason', 'wrong_password')
           WHEN 'rate_limited' THEN jsonb_build_object('request_id', request_id, 'limit_per_minute', 60)
           WHEN 'memory_searched' THEN jsonb_build_object(
             'request_id', request_id, 'results', floor(pg_temp.share(seed, 'results', event) * 20)::integer)
           ELSE jsonb_build_object('request_id', request_id, 'user_agent', pg_temp.user_agent(seed, session))
         END AS usual
  FROM (SELECT pg_temp.id(seed, 'request', event) AS request_id) request
) told
