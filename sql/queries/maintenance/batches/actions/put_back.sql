-- How many rows of a table that meet the condition were inserted by this transaction, in a savepoint or not: a visible
-- row is if its transaction ID is not older than this transaction's and is still in progress.
SELECT count(*) FROM {table} AS target
WHERE {condition}
  AND CASE WHEN age(target.xmin) <= age(pg_current_xact_id()::xid)
           THEN pg_xact_status((pg_current_xact_id()::text::bigint + age(pg_current_xact_id()::xid) - age(target.xmin))::text::xid8)
                = 'in progress'
           ELSE false END
