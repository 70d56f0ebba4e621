-- Creates the schema of the audit log, if it is not public.
CREATE SCHEMA {schema}
