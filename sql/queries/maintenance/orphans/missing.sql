-- The parent that a row refers to does not exist. True for a row that refers to nobody.
NOT EXISTS (SELECT FROM {parent} AS parent WHERE {same_key})
