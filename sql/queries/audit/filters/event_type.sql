-- Events of one type; read newest first from idx_audit_logs_event_type.
event_type = %(event_type)s
