-- Creates the schema of the audit log, for an OPS_AUDIT_LOG_SCHEMA other than the default.
CREATE SCHEMA {schema}
