-- No row fires it until the end of this transaction, or until it is on again.
ALTER TABLE ONLY {table} DISABLE TRIGGER {trigger}
