-- The trigger fires again, as it did before.
ALTER TABLE ONLY {table} ENABLE {always} TRIGGER {trigger}
