-- The partitions of a table that is range-partitioned by one timestamp or date column, without those whose detach is
-- pending, which accept no rows. Bounds that a Python datetime cannot represent (infinity is one) become the first or
-- last day that it can.
SELECT c.oid, n.nspname, c.relname,
       CASE WHEN text.lower IS NOT NULL THEN greatest(text.lower::timestamptz, '0001-01-02 00:00:00+00') END AS lower,
       CASE WHEN text.upper IS NOT NULL THEN least(text.upper::timestamptz, '9999-12-30 00:00:00+00') END AS upper,
       c.oid = p.partdefid AS is_default,
       text.bounds, i.inhparent, c.relkind::text
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_partitioned_table p ON p.partrelid = i.inhparent
CROSS JOIN LATERAL (
  SELECT pg_get_expr(c.relpartbound, c.oid) AS bounds,
         substring(pg_get_expr(c.relpartbound, c.oid) FROM $$FROM \('([^']*)'\)$$) AS lower,
         substring(pg_get_expr(c.relpartbound, c.oid) FROM $$TO \('([^']*)'\)$$) AS upper
) AS text
WHERE i.inhparent = %(oid)s AND NOT i.inhdetachpending
ORDER BY lower NULLS FIRST
