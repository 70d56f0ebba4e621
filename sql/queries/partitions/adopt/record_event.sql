-- An audit event about an adoption.
INSERT INTO public.audit_logs (event_type, action, details, status, created_by, origin)
VALUES ('maintenance', %(action)s, %(details)s, 'success', 'system', 'maintenance')
