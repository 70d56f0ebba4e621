-- Events about one resource; with its type, read newest first from idx_audit_logs_resource.
resource_id = %(resource_id)s
