-- The parent that a row refers to does not exist. True for a row whose reference is NULL.
NOT EXISTS (SELECT FROM {parent} AS parent WHERE {same_key})
