-- Events with one action; read newest first from idx_audit_logs_action.
action = %(action)s
