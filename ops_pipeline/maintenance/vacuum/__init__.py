"""VACUUM that knows what it is doing: what needs it, who keeps it from its work, and what it brought."""
