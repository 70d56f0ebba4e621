-- All rows of a table, in the form in which they are archived.
SELECT {columns} FROM {heap} AS target
