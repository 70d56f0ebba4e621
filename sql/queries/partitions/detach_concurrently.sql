-- Detaches a partition without blocking the table's readers and writers; no transaction may be open.
ALTER TABLE {table} DETACH PARTITION {partition} CONCURRENTLY
