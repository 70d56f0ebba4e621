-- The foreign keys with a trigger that does not fire when rows of a table or its partitions are deleted, because it is
-- disabled or fires on a replica only: name, the table it is on, and the statement that enables it.
SELECT k.conname, c.oid, n.nspname, c.relname,
       format('ALTER TABLE %%I.%%I ENABLE TRIGGER %%I;', n.nspname, c.relname, t.tgname)
FROM (SELECT relid FROM pg_partition_tree(%(oid)s) UNION SELECT %(oid)s) AS heap (oid)
JOIN pg_trigger t ON t.tgrelid = heap.oid AND t.tgisinternal AND t.tgenabled IN ('D', 'R') AND t.tgtype & 8 = 8
JOIN pg_constraint k ON k.oid = t.tgconstraint AND k.contype = 'f'
JOIN pg_class c ON c.oid = heap.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY n.nspname, c.relname, k.conname
