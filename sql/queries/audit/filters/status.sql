-- What came of it.
status = %(status)s
