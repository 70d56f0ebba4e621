"""The HTTP routes of the audit log: store, find, export, live tail, summary."""
