"""Who calls, and what their key allows."""
