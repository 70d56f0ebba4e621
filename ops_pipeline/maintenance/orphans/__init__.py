"""Orphan cleanup: deletes rows whose parent no longer exists, where no foreign key prevents that."""
