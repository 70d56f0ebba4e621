"""What of a database keeps policies from running, endangers rows or surprises people: one file a question."""
