-- Fires whatever session_replication_role is: a row that logical replication deletes leaves orphans as well.
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}
