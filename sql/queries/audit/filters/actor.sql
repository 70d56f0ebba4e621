-- Events of one actor (created_by); read newest first from idx_audit_logs_created_by.
created_by = %(actor)s
