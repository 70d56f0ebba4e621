-- Creates a table like the parent, not attached to it. Unlike CREATE TABLE ... PARTITION OF, this and the later ATTACH
-- do not block readers or writers of the parent (those of its default partition only briefly).
CREATE TABLE {partition} (
  LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE
               INCLUDING COMPRESSION
)
