-- How many rows of a table that meet the condition this transaction has inserted, in a savepoint or not: theirs is the
-- only transaction that came no earlier and is still in progress.
SELECT count(*) FROM {table} AS target
WHERE {condition}
  AND CASE WHEN age(target.xmin) <= age(pg_current_xact_id()::xid)
           THEN pg_xact_status((pg_current_xact_id()::text::bigint + age(pg_current_xact_id()::xid) - age(target.xmin))::text::xid8)
                = 'in progress'
           ELSE false END
