-- A range's orphans, each row compared with all parents: PostgreSQL reads the parents into a hash, and the rows in
-- the order of their ctids.
SELECT {keys_of_row}, target.ctid AS place FROM {heap} AS target WHERE {range} AND {missing}
