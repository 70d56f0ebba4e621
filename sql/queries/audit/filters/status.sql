-- Events with one status.
status = %(status)s
