-- The new table, without partitions yet.
CREATE TABLE {new} (LIKE {shape} INCLUDING ALL) PARTITION BY RANGE ({column})
