-- How many staged rows refer to a row that does not exist.
SELECT count(*) FROM {staging} AS staged WHERE {without_parent}
