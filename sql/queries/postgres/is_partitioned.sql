-- Whether the table is partitioned.
SELECT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = %(oid)s)
