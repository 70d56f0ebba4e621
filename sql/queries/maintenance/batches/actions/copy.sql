-- All rows of a table, as the archive takes them.
SELECT {columns} FROM {heap} AS target
