-- Records the keys of all rows that a statement deletes, at once.
CREATE TRIGGER {name} AFTER DELETE ON {table} REFERENCING OLD TABLE AS deleted
FOR EACH STATEMENT EXECUTE FUNCTION ops.record_deleted_parents({arguments})
