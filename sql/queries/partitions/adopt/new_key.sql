-- The new primary key: the old one with the time column, which a partitioned table requires in it.
ALTER TABLE {new} ADD CONSTRAINT {name} PRIMARY KEY ({columns})
