-- Records the keys of all rows that a statement deletes, at once.
CREATE TRIGGER {name} AFTER DELETE ON {table} REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION ops.note_deleted_parents({arguments})
