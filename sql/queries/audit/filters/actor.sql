-- What one caller did; read newest first from idx_audit_logs_created_by.
created_by = %(actor)s
