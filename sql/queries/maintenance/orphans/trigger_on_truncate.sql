-- Records that all rows were truncated.
CREATE TRIGGER {name} AFTER TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION ops.record_deleted_parents({arguments})
