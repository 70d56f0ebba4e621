"""The audit log: what happened, who did it, and where it is kept."""
