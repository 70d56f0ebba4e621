-- Disables a trigger until the end of this transaction, or until it is enabled again.
ALTER TABLE ONLY {table} DISABLE TRIGGER {trigger}
