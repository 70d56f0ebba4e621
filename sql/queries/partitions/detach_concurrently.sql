-- Detaches a partition without ever locking the table's readers and writers out; no transaction may be open.
ALTER TABLE {table} DETACH PARTITION {partition} CONCURRENTLY
