-- Takes one of our triggers off its table.
DROP TRIGGER {name} ON {table}
