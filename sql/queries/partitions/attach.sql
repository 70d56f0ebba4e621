-- Attaches the table as a partition of its parent, with the parent's indexes and foreign keys.
ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({lower}) TO ({upper})
