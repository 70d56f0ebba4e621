-- Records that every row is gone.
CREATE TRIGGER {name} AFTER TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION ops.note_deleted_parents({arguments})
