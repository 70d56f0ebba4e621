-- A statement that a table's owner may want to run; we never run it.
ALTER TABLE {table} SET ({option} = {value})
