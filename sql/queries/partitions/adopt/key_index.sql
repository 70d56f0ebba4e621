-- A row by its old primary key alone: no partition is ruled out, so each has to answer from an index.
CREATE INDEX {name} ON {new} ({columns})
