-- A table like the parent, outside of it. Unlike CREATE TABLE ... PARTITION OF, this and the later
-- ATTACH lock no reader or writer of the parent out (of its default partition, for a moment).
CREATE TABLE {partition} (
  LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE
               INCLUDING COMPRESSION
)
