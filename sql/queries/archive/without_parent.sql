-- The staged row refers to a row that neither exists nor is restored with it.
{refers} AND NOT EXISTS (SELECT FROM {parents} AS parent WHERE {same_key})
