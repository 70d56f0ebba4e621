-- Applies the foreign key's ON DELETE action to staged rows, as it was applied to other rows when the parent was
-- deleted.
UPDATE {staging} AS staged SET {columns} WHERE {without_parent}
