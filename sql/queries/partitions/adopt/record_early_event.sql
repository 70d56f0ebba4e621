-- An audit event about an adoption, with columns that the audit log has both before and after its own adoption.
INSERT INTO public.audit_logs (event_type, action, details, status, created_by)
VALUES ('maintenance', %(action)s, %(details)s, 'success', 'system')
