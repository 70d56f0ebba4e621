-- Makes the table a partition of its parent; the parent's indexes and foreign keys come with it.
ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({lower}) TO ({upper})
