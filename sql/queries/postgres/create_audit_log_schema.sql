-- The schema of the audit log, where that is not the application's.
CREATE SCHEMA {schema}
