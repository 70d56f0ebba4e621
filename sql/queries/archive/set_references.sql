-- Does to staged rows what their foreign key did to the rows that were there when the parent was deleted.
UPDATE {staging} AS staged SET {columns} WHERE {without_parent}
