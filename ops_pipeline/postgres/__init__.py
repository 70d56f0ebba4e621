"""Access to PostgreSQL: connections, catalog queries, locks, migrations. It knows nothing of policies."""
