"""An application with its own schema `ops` and table `audit_logs`, and queries about both."""

APPLICATION = """
CREATE SCHEMA ops;
CREATE TABLE ops.maintenance_runs (machine text PRIMARY KEY, serviced date);
INSERT INTO ops.maintenance_runs VALUES ('press 4', '2026-03-01'), ('press 5', '2026-03-02');
CREATE TABLE ops.legal_holds (court text, dossier int);
INSERT INTO ops.legal_holds VALUES ('Utrecht', 12);
CREATE TABLE ops.migrations (name text, applied_at timestamptz);
CREATE FUNCTION ops.known_users(wanted uuid[]) RETURNS text LANGUAGE sql RETURN 'not yours';
CREATE TABLE public.audit_logs (n serial PRIMARY KEY, who text, created_at timestamptz NOT NULL);
CREATE INDEX idx_audit_logs_created_at ON public.audit_logs (created_at);
INSERT INTO public.audit_logs (who, created_at)
SELECT 'them', now() - n * interval '100 days' FROM generate_series(1, 9) n;

CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text);
INSERT INTO users (id) VALUES ('00000000-0000-4000-8000-000000000001');
CREATE TABLE sessions (id int PRIMARY KEY, created_at timestamptz);
INSERT INTO sessions SELECT n, now() - n * interval '1 day' FROM generate_series(1, 60) n;
CREATE TABLE memories (id int PRIMARY KEY, session_id int);
INSERT INTO memories SELECT n, n FROM generate_series(1, 70) n;
CREATE TABLE visits (id int PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
INSERT INTO visits SELECT n, now() - n * interval '1 hour' FROM generate_series(1, 60) n;
"""
POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention:
      - {table: sessions, column: created_at, keep: 30 days, archive: true, guard: {max_fraction: 0.2}}
      - {table: AuditTrail.audit_logs, column: created_at, keep: 90 days, partition: day, archive: true}
    orphans:
      - {table: memories, column: session_id, references: sessions.id, grace_period: 0 seconds, track: true}
    vacuum: {tables: [sessions, memories]}
    guard: {max_fraction: 1}
"""
THEIRS = """
SELECT ARRAY(
  SELECT format('%s %s %s %s', c.oid, c.relfilenode, c.relname, c.relacl) FROM pg_class c
  WHERE relnamespace = 'ops'::regnamespace OR relname ~ 'audit_logs' AND relnamespace = 'public'::regnamespace
  ORDER BY c.oid
), ARRAY(SELECT format('%s %s %s %s', ctid, xmin, xmax, a) FROM public.audit_logs a ORDER BY ctid),
   ARRAY(SELECT format('%s %s %s %s', ctid, xmin, xmax, r) FROM ops.maintenance_runs r ORDER BY ctid),
   ARRAY(SELECT format('%s %s %s %s', ctid, xmin, xmax, h) FROM ops.legal_holds h ORDER BY ctid),
   ARRAY(SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'ops'::regnamespace),
   ARRAY(SELECT name FROM ops.migrations),
   (SELECT nspacl::text FROM pg_namespace WHERE nspname = 'ops'),
   ARRAY(SELECT tgname FROM pg_trigger WHERE tgrelid = 'public.audit_logs'::regclass)
"""
OURS_MENTIONING_THEIRS = r"""
WITH ours AS (SELECT oid FROM pg_namespace WHERE nspname IN ('{own}', '{log}')),
texts AS (
  SELECT proname::text AS name, concat(prosrc, proconfig) AS text FROM pg_proc
  WHERE pronamespace IN (TABLE ours)
  UNION ALL
  SELECT relname, pg_get_viewdef(oid) FROM pg_class WHERE relkind = 'v' AND relnamespace IN (TABLE ours)
  UNION ALL
  SELECT relname, pg_get_indexdef(oid) FROM pg_class
  WHERE relkind IN ('i', 'I') AND relnamespace IN (TABLE ours)
  UNION ALL
  SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace IN (TABLE ours)
  UNION ALL
  SELECT tgname, pg_get_triggerdef(t.oid) FROM pg_trigger t
  UNION ALL
  SELECT 'comment', description FROM pg_description
  JOIN pg_class c ON classoid = 'pg_class'::regclass AND c.oid = objoid AND relnamespace IN (TABLE ours)
  UNION ALL
  SELECT 'default', pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_class c ON c.oid = adrelid
  WHERE relnamespace IN (TABLE ours)
)
SELECT name, text FROM texts WHERE text ~ '\mops\.|\mpublic\.(idx_)?audit_logs|''ops'''
"""
