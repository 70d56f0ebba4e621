-- Where the audit log's partitions begin that begin before a time, latest first; none where it is not partitioned. A
-- bound before the calendar of Python becomes its first day.
SELECT coalesce(
         array_agg(greatest(text.lower::timestamptz, '0001-01-02 00:00:00+00') ORDER BY text.lower::timestamptz DESC),
         '{}'
       )
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
CROSS JOIN LATERAL (
  SELECT substring(pg_get_expr(c.relpartbound, c.oid) FROM $$FROM \('([^']*)'\)$$) AS lower
) AS text
WHERE i.inhparent = 'public.audit_logs'::regclass AND text.lower::timestamptz < %(before)s
