"""The audit log: events, queries, storage, import, and a client for applications."""
