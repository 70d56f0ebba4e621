"""VACUUM, ANALYZE and REINDEX of the tables that need it, with what blocked them and their effect."""
