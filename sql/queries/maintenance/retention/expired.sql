-- The condition for expired rows. A row whose time is NULL or -infinity never expires.
{column} < {cutoff} AND {column} > '-infinity'
