"""An ordinary table turned into one that is partitioned by day, while its application goes on writing.

The rows are copied into a new table beside the old one, changes are recorded by a trigger and brought over,
both sides are compared, and then the new table takes the old one's name. Every step is a transaction that
leaves its place in `ops.adoptions`: a process that dies at any moment is resumed by the next. It is the
method of pg_repack and gh-ost, with the log of changes read back as keys, so that a late reader of an old
snapshot can do no harm.
"""
