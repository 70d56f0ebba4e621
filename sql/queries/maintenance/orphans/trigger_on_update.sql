-- Records a key that is changed. An update that leaves it alone costs one comparison and fires nothing.
CREATE TRIGGER {name} AFTER UPDATE ON {table}
FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION ops.note_deleted_parents({arguments})
