"""Rows that refer to a row which does not exist, where no foreign key says so."""
