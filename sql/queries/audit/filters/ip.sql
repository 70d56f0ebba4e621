-- Events from one address, or from a network; both are ranges in idx_audit_logs_ip_address.
ip_address <<= %(ip)s::inet
