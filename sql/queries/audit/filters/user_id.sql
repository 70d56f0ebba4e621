-- Events of one user; read newest first from idx_audit_logs_user_id.
user_id = %(user_id)s
