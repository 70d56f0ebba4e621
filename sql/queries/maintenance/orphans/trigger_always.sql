-- Whatever session_replication_role says: a row that a replica's apply deletes leaves orphans as well.
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}
