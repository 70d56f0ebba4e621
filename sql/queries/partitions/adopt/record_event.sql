-- An audit event about an adoption; in the columns that the audit log has before and after its own.
INSERT INTO public.audit_logs (event_type, action, details, status, created_by)
VALUES ('maintenance', %(action)s, %(details)s, 'success', 'system')
