-- The schema everything of ours lives in, besides audit_logs.
CREATE SCHEMA IF NOT EXISTS ops
