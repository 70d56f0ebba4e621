-- Which rows are too old. One whose time is NULL has none, and neither has one whose time is -infinity.
{column} < {cutoff} AND {column} > '-infinity'
