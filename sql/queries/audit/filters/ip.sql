-- From one address, or from a network; either is a range in idx_audit_logs_ip_address.
ip_address <<= %(ip)s::inet
