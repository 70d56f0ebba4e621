-- One alternative of a term of a search; containment is what idx_audit_logs_details answers.
details @> {document}::jsonb
