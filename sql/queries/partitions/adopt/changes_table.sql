-- The rows of the old table that have changed: the primary key and the time they had, or have now.
CREATE TABLE {changes} AS SELECT {named_keys}, {column} AS moment FROM {old} WITH NO DATA
