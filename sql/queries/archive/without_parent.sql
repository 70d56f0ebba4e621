-- The staged row refers to a row that is neither there nor restored with it.
{refers} AND NOT EXISTS (SELECT FROM {parents} AS parent WHERE {same_key})
