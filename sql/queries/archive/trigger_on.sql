-- Enables the trigger again, as it was before.
ALTER TABLE ONLY {table} ENABLE {always} TRIGGER {trigger}
