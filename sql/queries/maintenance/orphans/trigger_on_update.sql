-- Records a key that is changed. An update that does not change it costs one comparison and does not fire.
CREATE TRIGGER {name} AFTER UPDATE ON {table}
FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION ops.record_deleted_parents({arguments})
