-- The new primary key: the old one, with the time that partitions need in it.
ALTER TABLE {new} ADD CONSTRAINT {name} PRIMARY KEY ({columns})
