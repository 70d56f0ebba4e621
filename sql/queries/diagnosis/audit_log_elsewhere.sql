-- The current name of the table with our audit log's trigger, if it was renamed or moved, and the statements or
-- setting that fix it.
SELECT format('%%I.%%I', n.nspname, c.relname),
       CASE WHEN c.relname = 'audit_logs'
            THEN ARRAY['OPS_AUDIT_LOG_SCHEMA=' || n.nspname,
                       format('ALTER TABLE %%I.audit_logs SET SCHEMA %%I;', n.nspname, %(schema)s::text)]
            WHEN n.nspname = %(schema)s::text
            THEN ARRAY[format('ALTER TABLE %%I.%%I RENAME TO audit_logs;', n.nspname, c.relname)]
            ELSE ARRAY[format('ALTER TABLE %%I.%%I RENAME TO audit_logs; ALTER TABLE %%I.audit_logs SET SCHEMA %%I;',
                              n.nspname, c.relname, n.nspname, %(schema)s::text)]
       END
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgfoid = to_regproc('ops.record_arrivals') AND t.tgparentid = 0
  AND (n.nspname, c.relname) <> (%(schema)s::text, 'audit_logs')
LIMIT 1
