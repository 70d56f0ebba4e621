-- Temporary tables and functions that the fill is computed from. Nothing uses random(): every value is a hash
-- of the seed, of its purpose, and of a row's number, so that the same seed, scale and as_of produce the same
-- rows, including ids, in any order and in any number of steps. All of it is dropped when the transaction or
-- session ends. The functions are called several times per row: they are written so that the planner can
-- inline them, and OFFSET 0 in the statements that use them prevents repeated evaluation.

-- JIT compilation takes longer here than running the statements.
SET LOCAL jit = off;

-- One row with the parameters of the fill; set by demo/start.
CREATE TEMPORARY TABLE demo (
  seed          bigint      NOT NULL,
  as_of         timestamptz NOT NULL,
  users         bigint      NOT NULL,
  sessions      bigint      NOT NULL,
  conversations bigint      NOT NULL,
  memories      bigint      NOT NULL,
  bursts        bigint      NOT NULL  -- of audit events, six in each
) ON COMMIT DROP;

-- The hours in which the application is used, oldest first, with the share of its total use (in thousandths
-- of weight) before each hour.
CREATE TEMPORARY TABLE demo_hours (
  hour_number bigint      PRIMARY KEY,
  starts_at   timestamptz NOT NULL,
  before      bigint      NOT NULL,
  weight      bigint      NOT NULL,
  total       bigint      NOT NULL
) ON COMMIT DROP;

-- The kinds of events of the application, each as many times as it is likely.
CREATE TEMPORARY TABLE demo_kinds (
  slot          integer PRIMARY KEY,
  event_type    text NOT NULL,
  resource_type text,
  action        text,
  actor         text NOT NULL,  -- 'user', 'system' or 'nobody'
  usual_status  text NOT NULL,
  slowest_ms    integer         -- NULL: its duration is not recorded
) ON COMMIT DROP;

-- A number from 0, inclusive, to 1, exclusive.
CREATE OR REPLACE FUNCTION pg_temp.share(seed bigint, kind text, number bigint) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ((hashint8extended(number, hashtextextended(kind, seed)) >> 11) & 9007199254740991)
       / 9007199254740992.0::float8;

-- One of the choices, all equally likely.
CREATE OR REPLACE FUNCTION pg_temp.pick(share float8, choices text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN choices[1 + floor(share * cardinality(choices))::integer];

CREATE OR REPLACE FUNCTION pg_temp.id(seed bigint, kind text, number bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN md5(seed::text || ':' || kind || ':' || number::text)::uuid;

-- The number of the user to whom a session belongs. A few users use the application much more than most.
CREATE OR REPLACE FUNCTION pg_temp.user_of(seed bigint, session bigint, users bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 1 + floor(power(pg_temp.share(seed, 'user of session', session), 2) * users)::bigint;

CREATE OR REPLACE FUNCTION pg_temp.first_name(seed bigint, person bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN pg_temp.pick(pg_temp.share(seed, 'first name', person), ARRAY[
  'Amara', 'Bram', 'Chiara', 'Daniel', 'Elif', 'Farid', 'Grace', 'Hiro', 'Ines', 'Jonas', 'Kavya', 'Liam',
  'Mei', 'Noor', 'Olga', 'Pedro', 'Quentin', 'Ruth', 'Sanna', 'Tomas', 'Uma', 'Victor', 'Wanda', 'Yusuf']);

CREATE OR REPLACE FUNCTION pg_temp.last_name(seed bigint, person bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN pg_temp.pick(pg_temp.share(seed, 'last name', person), ARRAY[
  'Abe', 'Bauer', 'Costa', 'Dubois', 'Eriksen', 'Fischer', 'Garcia', 'Haddad', 'Ivanov', 'Jensen', 'Kim',
  'Lopez', 'Moreau', 'Novak', 'Okafor', 'Patel', 'Rossi', 'Sato', 'Tanaka', 'Usman', 'Visser', 'Weber']);

CREATE OR REPLACE FUNCTION pg_temp.email(seed bigint, person bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN lower(pg_temp.first_name(seed, person) || '.' || pg_temp.last_name(seed, person))
       || person::text || '@' || pg_temp.pick(pg_temp.share(seed, 'domain', person),
                                       ARRAY['example.com', 'example.org', 'mail.example.net']);

-- A user's own address: one in five has IPv6. All are from the ranges reserved for documentation.
CREATE OR REPLACE FUNCTION pg_temp.address(seed bigint, person bigint) RETURNS inet
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN pg_temp.share(seed, 'has v6', person) < 0.2
  THEN '2001:db8::'::inet + (pg_temp.share(seed, 'address', person) * 9007199254740992)::bigint
  ELSE '198.18.0.0'::inet + (pg_temp.share(seed, 'address', person) * 131071)::bigint
END;

CREATE OR REPLACE FUNCTION pg_temp.user_agent(seed bigint, session bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN pg_temp.pick(pg_temp.share(seed, 'user agent', session), ARRAY[
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36',
  'Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148',
  'sample-app-cli/2.3.1']);

CREATE OR REPLACE FUNCTION pg_temp.sentence(seed bigint, number bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN
  pg_temp.pick(pg_temp.share(seed, 'who', number), ARRAY[
    'The user', 'Her team', 'The customer', 'A colleague', 'Their manager', 'The project lead', 'My neighbor'])
  || ' ' ||
  pg_temp.pick(pg_temp.share(seed, 'does', number), ARRAY[
    'prefers short answers with an example', 'asked to be reminded of the invoice', 'moved the deadline',
    'wants sources for every claim', 'is allergic to hazelnuts', 'writes in British English',
    'compared three suppliers and kept the second', 'works from Tuesday to Friday', 'decided against the trial',
    'needs the figures rounded to whole thousands', 'is learning Portuguese', 'reported the export as broken'])
  || ' ' ||
  pg_temp.pick(pg_temp.share(seed, 'when', number), ARRAY[
    'since the last review.', 'until further notice.', 'because of the audit in autumn.', 'as agreed by mail.',
    'and would like to see it in the summary.', 'before the next call.', 'though this may change again.']);

-- Rows number `from_number` to `to_number` of `all_rows`, each with its time. They are in the order of time,
-- with more rows in busy hours; only the last hundredth of all rows is late: they are from any hour and come
-- after newer ones. Half a minute at both ends of an hour has no rows.
CREATE OR REPLACE FUNCTION pg_temp.moments(
  seed bigint, kind text, all_rows bigint, from_number bigint, to_number bigint
) RETURNS TABLE (number bigint, moment timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT timely.number,
         h.starts_at + interval '30 seconds'
         + (timely.number - h.first + pg_temp.share(seed, kind || ' moment', timely.number))
           / (h.last - h.first + 1) * interval '59 minutes'
  FROM (
    SELECT starts_at,
           before * (all_rows - all_rows / 100) / total + 1 AS first,
           (before + weight) * (all_rows - all_rows / 100) / total AS last
    FROM demo_hours
    ORDER BY hour_number
  ) h
  CROSS JOIN LATERAL generate_series(greatest(h.first, from_number), least(h.last, to_number)) timely (number)
  UNION ALL
  SELECT late.number,
         h.starts_at + interval '30 seconds'
         + pg_temp.share(seed, kind || ' moment', late.number) * interval '59 minutes'
  FROM generate_series(greatest(all_rows - all_rows / 100 + 1, from_number), to_number) late (number)
  JOIN demo_hours h
    ON h.hour_number
     = floor(pg_temp.share(seed, kind || ' hour', late.number) * (SELECT count(*) FROM demo_hours))::bigint;
END;
