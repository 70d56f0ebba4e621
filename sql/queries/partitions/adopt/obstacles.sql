-- The reasons why a table cannot be adopted, a sentence each.
WITH c AS (SELECT * FROM pg_class WHERE oid = %(table)s),
named AS (
  SELECT r.oid, format('%%I.%%I', n.nspname, r.relname) AS name
  FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
)
SELECT 'it has no primary key, which is required to copy its rows; add one'
FROM c WHERE NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)
UNION ALL
SELECT format('the foreign key %%s of %%s refers to it, but the new table cannot have a unique key on (%%s) alone; '
              'drop the foreign key',
              f.conname, (SELECT name FROM named WHERE named.oid = f.conrelid),
              (SELECT string_agg(attname, ', ') FROM pg_attribute
               WHERE attrelid = c.oid AND attnum = ANY (f.confkey)))
FROM c JOIN pg_constraint f ON f.confrelid = c.oid AND f.contype = 'f'
UNION ALL
SELECT format('the constraint %%s is not validated; ALTER TABLE %%s VALIDATE CONSTRAINT %%I', n.conname,
              (SELECT name FROM named WHERE named.oid = c.oid), n.conname)
FROM c JOIN pg_constraint n ON n.conrelid = c.oid AND NOT n.convalidated
  AND to_jsonb(n) ->> 'conenforced' IS DISTINCT FROM 'false'
UNION ALL
SELECT format('the unique or exclusion constraint of index %%s cannot exist on a table partitioned by %%s; drop it',
              (SELECT name FROM named WHERE named.oid = i.indexrelid), %(column)s::text)
FROM c JOIN pg_index i ON i.indrelid = c.oid AND NOT i.indisprimary AND (i.indisunique OR i.indisexclusion)
WHERE i.indisexclusion OR NOT (
  SELECT attnum FROM pg_attribute WHERE attrelid = c.oid AND attname = %(column)s
) = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
UNION ALL
SELECT format('its trigger %%s is of a kind that a partitioned table cannot have; drop it', t.tgname)
FROM c JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
  AND t.tgtype & 1 = 1 AND (t.tgoldtable IS NOT NULL OR t.tgnewtable IS NOT NULL)
UNION ALL
SELECT format('its rule %%s would not be copied; drop it', r.rulename)
FROM c JOIN pg_rewrite r ON r.ev_class = c.oid
UNION ALL
SELECT format('%%s would continue to read the old table; drop it, and create it again afterwards',
              coalesce((SELECT named.name FROM pg_rewrite v JOIN named ON named.oid = v.ev_class
                        WHERE d.classid = 'pg_rewrite'::regclass AND v.oid = d.objid),
                       pg_describe_object(d.classid, d.objid, d.objsubid)))
FROM c JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.deptype = 'n'
  AND d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass)
  AND NOT EXISTS (SELECT FROM pg_rewrite own WHERE own.oid = d.objid AND own.ev_class = c.oid)
UNION ALL
SELECT 'its row security policies would not be copied; drop them, and create them again afterwards'
FROM c WHERE relrowsecurity OR EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid)
UNION ALL
SELECT format('the publication %%s contains it, and would continue to publish the old table; remove it from there',
              p.pubname)
FROM c JOIN pg_publication_rel r ON r.prrelid = c.oid JOIN pg_publication p ON p.oid = r.prpubid
UNION ALL
SELECT 'it inherits from another table, or another table inherits from it; ALTER TABLE ... NO INHERIT' FROM c
WHERE EXISTS (SELECT FROM pg_inherits WHERE c.oid IN (inhrelid, inhparent))
UNION ALL
SELECT format('it is unlogged; ALTER TABLE %%s SET LOGGED', (SELECT name FROM named WHERE named.oid = c.oid))
FROM c WHERE relpersistence = 'u'
UNION ALL
SELECT 'it is temporary: PostgreSQL drops it when its session ends; create an ordinary table instead'
FROM c WHERE relpersistence = 't'
UNION ALL
SELECT format('its replica identity is not its primary key; ALTER TABLE %%s REPLICA IDENTITY DEFAULT',
              (SELECT name FROM named WHERE named.oid = c.oid))
FROM c WHERE relreplident NOT IN ('d', 'n')
UNION ALL
SELECT format('%%s does not own it; run this as a member of %%s', current_user, pg_get_userbyid(relowner))
FROM c WHERE NOT pg_has_role(relowner, 'USAGE')
UNION ALL
SELECT format('%%1$s may not create tables in schema %%2$s; GRANT CREATE ON SCHEMA %%2$s TO %%1$I', current_user, s)
FROM (
  SELECT relnamespace::regnamespace FROM c UNION SELECT 'ops'::regnamespace
) AS needed (s) WHERE NOT has_schema_privilege(s::oid, 'CREATE')
