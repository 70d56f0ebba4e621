-- The index of a table's primary key.
SELECT indexrelid FROM pg_index WHERE indrelid = %(table)s AND indisprimary
