-- One alternative of a search term; idx_audit_logs_details supports containment.
details @> {document}::jsonb
