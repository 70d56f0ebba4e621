"""Who did what: the audit event, the table that keeps it, and events from elsewhere."""
