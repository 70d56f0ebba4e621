"""`opsctl adopt`: converts an ordinary table to one partitioned by day, while the application uses it.

The rows are copied into a new table, a trigger records changes, which are applied to the new table, both
tables are compared, and then the new table takes the old one's name. Every step is a transaction that saves
its state in `ops.adoptions`, so an interrupted adoption resumes where it stopped. It is the method of
pg_repack and gh-ost; the log of changes contains keys only, so that a reader with an old snapshot cannot
apply old values.
"""
