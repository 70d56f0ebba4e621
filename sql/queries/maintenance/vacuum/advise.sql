-- What a table's owner might run; we never do.
ALTER TABLE {table} SET ({option} = {value})
