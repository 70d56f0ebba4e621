-- The longest open transaction (except VACUUM's), and the age in transaction ids of the database's oldest
-- possible row.
SELECT old.pid, old.seconds, old.state, age(d.datfrozenxid)
FROM pg_database d
LEFT JOIN LATERAL (
  SELECT pid, extract(epoch FROM now() - xact_start)::float8 AS seconds, state
  FROM pg_stat_activity
  WHERE datname = d.datname AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
    AND backend_type = 'client backend' AND query !~* '^\s*vacuum'
  ORDER BY xact_start
  LIMIT 1
) AS old ON true
WHERE d.datname = current_database()
