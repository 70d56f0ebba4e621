-- Creates the schema of all our tables except audit_logs.
CREATE SCHEMA IF NOT EXISTS ops
