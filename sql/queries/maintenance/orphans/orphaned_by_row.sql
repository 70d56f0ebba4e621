-- A range's orphans, each row held against all parents: PostgreSQL reads those into a hash, and the rows in the
-- order in which they lie.
SELECT {keys_of_row}, target.ctid AS place FROM {heap} AS target WHERE {range} AND {missing}
