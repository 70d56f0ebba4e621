-- Drops one of our triggers.
DROP TRIGGER {name} ON {table}
