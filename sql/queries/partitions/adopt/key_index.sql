-- An index for searches by the old primary key alone: they exclude no partition, so each needs one.
CREATE INDEX {name} ON {new} ({columns})
