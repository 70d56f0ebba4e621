"""Rows deleted in batches: a scan finds them, an action deletes them."""
